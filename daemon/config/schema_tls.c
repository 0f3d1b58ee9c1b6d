/* schema_tls.c: the keys of `tls`, of the probes that may have https or rediss targets. */
#include "config.h"
#include "config_schema_rows.h"

#define KINDS .kinds = BIT(PROBE_HTTP) | BIT(PROBE_METRICS) | BIT(PROBE_REDIS)

static const char *version_word(unsigned i) {
        return tls_version_to_string((TlsVersion)i);
}

static const ConfigWords versions = { _TLS_VERSION_MAX, version_word };

static const ConfigKey rows[] = {
        { SECTION_TLS, "verify", KIND_BOOL, AT(ProbeConfig, tls.verify), .fallback = "true", KINDS,
          .help = "false: a certificate is good whoever signed it and whatever it names" },
        { SECTION_TLS, "ca_file", KIND_PATH, AT(ProbeConfig, tls.ca_file), KINDS,
          .help = "PEM file of those who may sign; those that the host trusts unless given" },
        { SECTION_TLS, "certificate_file", KIND_PATH, AT(ProbeConfig, tls.certificate_file), KINDS,
          .help = "PEM file of our own certificate, for servers that ask for one, with its chain" },
        { SECTION_TLS, "key_file", KIND_SECRET, AT(ProbeConfig, tls.key_file), KINDS,
          .help = "secret that holds its private key; in certificate_file unless given" },
        { SECTION_TLS, "minimum_version", KIND_ENUM, AT(ProbeConfig, tls.minimum_version),
          .words = &versions, .fallback = "1.2", KINDS,
          .help = "the oldest version of TLS that will do" },
        { SECTION_TLS, "server_name", KIND_TEXT, AT(ProbeConfig, tls.server_name), .minimum = "1",
          .maximum = "253", KINDS,
          .help = "host name that the certificate must be for; the target's unless given" },
};

const ConfigTable config_schema_tls = { rows, ELEMENTSOF(rows) };
