/*
 * A certificate for 127.0.0.1 and localhost that signs itself, and its key, both in the open: they let tests
 * speak TLS on loopback without a tool that makes certificates. They protect nothing and must never be used
 * outside of these tests. Good from 2020 to 2120, so that no clock is too early for it.
 */
#include "tests/devagent/agent.h"

const char tls_material_certificate[] = "-----BEGIN CERTIFICATE-----\n"
                                        "MIIBZjCCAQugAwIBAgIBATAKBggqhkjOPQQDAjATMREwDwYDVQQDDAhkZXZhZ2Vu\n"
                                        "dDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowEzERMA8GA1UEAwwI\n"
                                        "ZGV2YWdlbnQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT11cfwbScMQdbfvX0l\n"
                                        "On5lnWHfJ4fZqr0Xp7wUAQogBqKe1mbY42R30x+iCt5R9Iqur1mggqIIMe98y3Cc\n"
                                        "Iu5to04wTDAaBgNVHREEEzARhwR/AAABgglsb2NhbGhvc3QwDwYDVR0TAQH/BAUw\n"
                                        "AwEB/zAdBgNVHQ4EFgQUeWXL0Bime55Cs6m5UjWyXoHeX4UwCgYIKoZIzj0EAwID\n"
                                        "SQAwRgIhAL/n3C4yGfVpTciJeVLp0NsaZmTeGzYYTjpys1gPmPaAAiEA1KYMKVKj\n"
                                        "mxdDPmGzqUqGiQ3oytXuV36YRSlmsXXhOxY=\n"
                                        "-----END CERTIFICATE-----\n";

const char tls_material_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGCnSjoWAQvDb4ViA\n"
                                "J8j48FzXl9pWrycKk91GlnarnhuhRANCAAT11cfwbScMQdbfvX0lOn5lnWHfJ4fZ\n"
                                "qr0Xp7wUAQogBqKe1mbY42R30x+iCt5R9Iqur1mggqIIMe98y3CcIu5t\n"
                                "-----END PRIVATE KEY-----\n";
