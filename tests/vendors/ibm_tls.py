"""Stands on IBM's production addresses: a proxy that answers CONNECT itself, with its own
certificate, which the client is told to trust by ``REQUESTS_CA_BUNDLE``."""

import datetime
import ssl

from vendors.service import Handler

HOSTS = (
    "iam.cloud.ibm.com",
    "api.global-search-tagging.cloud.ibm.com",
    "globalcatalog.cloud.ibm.com",
    "quantum.cloud.ibm.com",
    "eu-de.quantum.cloud.ibm.com",
)


def certificate(folder):
    """The file of a certificate for `HOSTS` and its key, made at the first call."""
    file = folder / "ibm.pem"
    if not file.exists():
        file.write_bytes(_made())
    return file


def _made():
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, HOSTS)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class TunnelHandler(Handler):
    """After CONNECT the connection is TLS, and the requests in it are answered here."""

    def do_CONNECT(self):  # noqa: N802
        self.send_response_only(200, "Connection established")
        self.end_headers()
        self.wfile.flush()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb", self.wbufsize)
        self.close_connection = False

    def finish(self):
        try:
            super().finish()
        finally:
            self.connection.close()


def prepare(server):
    """Make a server of `vendors.service` answer so."""
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(certificate(server.service.folder))
    server.RequestHandlerClass = TunnelHandler
