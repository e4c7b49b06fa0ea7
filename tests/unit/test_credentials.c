/* The files of TLS: what is read, what is refused, and that nothing is read without need. */
#include "agent-client/credentials.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static void set_up(void)
{
    strcpy(folder, "/tmp/bulkhead-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void clean_up(void)
{
    static const char *const names[] = {"cert", "key", "ca", "pipe"};
    char path[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

TestSuite(credentials, .init = set_up, .fini = clean_up);

static void write_file(const char *name, const char *text, off_t size)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    if (size >= 0)
        cr_assert_eq(ftruncate(file, size), 0);
    close(file);
}

static void set(struct config *config, const char *name, const char *value)
{
    cr_assert_eq(config_set_text(config, name, value, NULL), 0);
}

static void set_path(struct config *config, const char *name, const char *file)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    set(config, name, path);
}

static struct config *make_config(const char *verify)
{
    struct config *config;
    cr_assert_eq(config_new(&config), 0);
    set(config, "LIBPROCESS_SSL_ENABLED", "true");
    set(config, "LIBPROCESS_SSL_VERIFY_SERVER_CERT", verify);
    set_path(config, "LIBPROCESS_SSL_CERT_FILE", "cert");
    set_path(config, "LIBPROCESS_SSL_KEY_FILE", "key");
    set_path(config, "LIBPROCESS_SSL_CA_FILE", "ca");
    return config;
}

static void assert_holds(const struct credential *credential, const char *text)
{
    cr_assert_eq(credential->size, strlen(text));
    cr_assert_eq(memcmp(credential->data, text, strlen(text)), 0);
}

Test(credentials, all_are_read)
{
    write_file("cert", "a certificate", -1);
    write_file("key", "a key", -1);
    write_file("ca", "an authority", -1);
    struct config *config = make_config("true");
    struct credentials credentials;
    enum config_id setting;
    cr_assert_eq(credentials_read(config, &credentials, &setting), 0);
    assert_holds(&credentials.certificate, "a certificate");
    assert_holds(&credentials.key, "a key");
    assert_holds(&credentials.authorities, "an authority");
    credentials_clear(&credentials);
    cr_assert_null(credentials.key.data);
    credentials_clear(NULL);
    config_free(config);
}

Test(credentials, authorities_are_not_needed_without_verification)
{
    write_file("cert", "a certificate", -1);
    write_file("key", "a key", -1);
    struct config *config = make_config("false");
    struct credentials credentials;
    enum config_id setting;
    cr_assert_eq(credentials_read(config, &credentials, &setting), 0);
    cr_assert_null(credentials.authorities.data);
    credentials_clear(&credentials);
    config_free(config);
}

Test(credentials, nothing_is_read_without_tls)
{
    struct config *config = make_config("true");
    set(config, "LIBPROCESS_SSL_ENABLED", "false");
    struct credentials credentials;
    enum config_id setting;
    cr_assert_eq(credentials_read(config, &credentials, &setting), 0);
    cr_assert_null(credentials.certificate.data);
    config_free(config);
}

static void assert_fails(enum config_id expected, int error)
{
    struct config *config = make_config("true");
    struct credentials credentials = {.key = {.size = 77}};
    enum config_id setting = CONFIG_COUNT;
    cr_assert_eq(credentials_read(config, &credentials, &setting), error);
    cr_assert_eq(setting, expected);
    cr_assert_eq(credentials.key.size, 77, "untouched on failure");
    config_free(config);
}

Test(credentials, what_cannot_be_read_names_its_setting)
{
    write_file("cert", "a certificate", -1);
    assert_fails(CONFIG_SSL_KEY_FILE, -ENOENT);
    write_file("key", "", -1);
    assert_fails(CONFIG_SSL_KEY_FILE, -ENODATA);
    write_file("key", "k", CREDENTIAL_MAX + 1);
    assert_fails(CONFIG_SSL_KEY_FILE, -EFBIG);
    write_file("key", "k", CREDENTIAL_MAX);
    assert_fails(CONFIG_SSL_CA_FILE, -ENOENT);
}

Test(credentials, a_pipe_is_not_waited_for, .timeout = 10)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/pipe", folder);
    cr_assert_eq(mkfifo(path, 0600), 0);
    struct config *config = make_config("true");
    set(config, "LIBPROCESS_SSL_CERT_FILE", path);
    struct credentials credentials;
    enum config_id setting = CONFIG_COUNT;
    cr_assert_eq(credentials_read(config, &credentials, &setting), -EINVAL);
    cr_assert_eq(setting, CONFIG_SSL_CERT_FILE);
    config_free(config);
}
