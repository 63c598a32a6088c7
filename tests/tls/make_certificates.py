#!/usr/bin/env python3
"""Makes the certificates of the suite. Needs python3-cryptography.

usage: make_certificates.py FOLDER                                    all of them
       make_certificates.py FOLDER leaf NAME BEGIN END                one more of ca.pem, valid for so many seconds from now
       make_certificates.py FOLDER staple NAME FILE STATUS BEGIN END  an answer about NAME.pem: GOOD or REVOKED

For each NAME there are NAME.pem (the certificate, and the intermediate ones behind it) and NAME.key:
ecdsa, rsa           leaves of the authority `ca.pem`, for localhost, name.test, 127.0.0.1, ::1 and 10.77.0.2
chain                one below an intermediate authority
deep                 one below four of them
long, excessive      those whose chains have 90 KB, and 150 KB: more than OpenSSL takes
expired, future      leaves of other times
misnamed             one for other.test
revoked              one that the list `crl.pem` revokes; `crl-empty.pem` revokes none
other                one of the authority `other-ca.pem`, which has the name of the first and another key
must-staple          one that demands an answer of the authority (RFC 7633)
client, stranger     those of clients, of ca.pem and of other-ca.pem
NAME.ocsp, NAME-expired.ocsp, NAME-revoked.ocsp      answers of the authority about ecdsa, must-staple and chain
both-cas.pem, no-ca.pem                              bundles
authorities.pem, renamed-ca.pem                      40 other authorities; ca.pem's with its name in other letters and spaces
"""
import datetime
import ipaddress
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.utcnow().replace(microsecond=0)
DAY = datetime.timedelta(days=1)
NAMES = ["localhost", "name.test"]


def name_of(text, organization="Holdline's tests"):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization), x509.NameAttribute(NameOID.COMMON_NAME, text)])


def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """A certificate with its key, and those that stand between it and the authority."""

    def __init__(self, name, key, issuer=None, authority=False, begin=NOW - DAY, end=NOW + 30 * DAY, names=(), usage=None, more=()):
        self.key, self.name = key, name_of(name) if isinstance(name, str) else name
        signer = issuer or self
        builder = (x509.CertificateBuilder().subject_name(self.name).issuer_name(signer.name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
                   .add_extension(x509.BasicConstraints(authority, None), True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), False)
                   .add_extension(x509.KeyUsage(True, False, not authority and isinstance(key, rsa.RSAPrivateKey), False, False,
                                                authority, authority, False, False), True))
        if names:
            alternatives = [x509.DNSName(text) for text in names]
            if "localhost" in names:
                alternatives += [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1", "10.77.0.2")]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
        if not authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage or ExtendedKeyUsageOID.SERVER_AUTH]), False)
        for extension in more:
            builder = builder.add_extension(extension, False)
        self.certificate = builder.sign(signer.key, hashes.SHA256())
        self.chain = [self.certificate] + (issuer.chain if issuer and issuer.chain and issuer.issuer else [])
        self.issuer = issuer

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def write(folder, file, content):
    with open(os.path.join(folder, file), "wb") as out:
        out.write(content)


def write_leaf(folder, file, leaf):
    write(folder, file + ".pem", b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in leaf.chain))
    write(folder, file + ".key", leaf.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def revocations(authority, revoked):
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.name).last_update(NOW - DAY).next_update(NOW + 30 * DAY)
    for leaf in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(leaf.certificate.serial_number).revocation_date(NOW - DAY).build())
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def staple(leaf, authority, status, begin, end):
    revoked = status == ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=leaf.certificate, issuer=authority.certificate, algorithm=hashes.SHA1(), cert_status=status, this_update=begin, next_update=end,
        revocation_time=begin if revoked else None, revocation_reason=None)
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, authority.certificate).certificates([authority.certificate])
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def chain_of(issuer, size):
    """Four intermediate authorities, each with three extensions of that size."""
    stuffing = [x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.%d" % part), bytes(size)) for part in range(3)]
    for number in range(4):
        issuer = Issuer("intermediate %d of %d" % (number, size), ec_key(), issuer, authority=True, more=stuffing)
    return issuer


def main(folder):
    os.makedirs(folder, exist_ok=True)
    ca = Issuer("authority", ec_key(), authority=True)
    other = Issuer("authority", ec_key(), authority=True)
    first = Issuer("intermediate", ec_key(), ca, authority=True)
    deep = ca
    for number in range(4):
        deep = Issuer("intermediate %d" % number, ec_key(), deep, authority=True)
    long, excessive = chain_of(ca, 7200), chain_of(ca, 12000)
    leaves = {
        "ecdsa": Issuer("leaf", ec_key(), ca, names=NAMES),
        "rsa": Issuer("leaf of RSA", rsa.generate_private_key(65537, 2048), ca, names=NAMES),
        "chain": Issuer("leaf of a chain", ec_key(), first, names=NAMES),
        "deep": Issuer("leaf of a deep chain", ec_key(), deep, names=NAMES),
        "long": Issuer("leaf of a long chain", ec_key(), long, names=NAMES),
        "excessive": Issuer("leaf of an excessive chain", ec_key(), excessive, names=NAMES),
        "expired": Issuer("leaf", ec_key(), ca, names=NAMES, begin=NOW - 20 * DAY, end=NOW - DAY),
        "future": Issuer("leaf", ec_key(), ca, names=NAMES, begin=NOW + DAY),
        "misnamed": Issuer("leaf", ec_key(), ca, names=["other.test"]),
        "revoked": Issuer("leaf", ec_key(), ca, names=NAMES),
        "other": Issuer("leaf", ec_key(), other, names=NAMES),
        "client": Issuer("client", ec_key(), ca, usage=ExtendedKeyUsageOID.CLIENT_AUTH),
        "stranger": Issuer("stranger", ec_key(), other, usage=ExtendedKeyUsageOID.CLIENT_AUTH),
        "must-staple": Issuer("leaf", ec_key(), ca, names=NAMES, more=[x509.TLSFeature([x509.TLSFeatureType.status_request])]),
    }
    for file, leaf in leaves.items():
        write_leaf(folder, file, leaf)
    write_leaf(folder, "ca", ca)
    write(folder, "other-ca.pem", other.pem())
    write(folder, "both-cas.pem", ca.pem() + other.pem())
    write(folder, "no-ca.pem", leaves["client"].pem())
    write(folder, "authorities.pem", b"".join(Issuer("another authority, number %d" % number, ec_key(), authority=True).pem() for number in range(40)))
    write(folder, "renamed-ca.pem", Issuer(name_of("AUTHORITY ", "  HOLDLINE'S   Tests"), ca.key, authority=True).pem())
    write(folder, "crl.pem", revocations(ca, [leaves["revoked"]]))
    write(folder, "crl-empty.pem", revocations(ca, []))
    write(folder, "crl-of-ecdsa.pem", revocations(ca, [leaves["ecdsa"]]))
    write_leaf(folder, "intermediate", first)
    for file, issuer in ("ecdsa", ca), ("must-staple", ca), ("chain", first):
        for suffix, status, begin, end in (("", "GOOD", -1, 30), ("-expired", "GOOD", -9, -2), ("-revoked", "REVOKED", -1, 30)):
            write(folder, file + suffix + ".ocsp", staple(leaves[file], issuer, ocsp.OCSPCertStatus[status], NOW + begin * DAY, NOW + end * DAY))


class Loaded:
    """One that was made before."""

    def __init__(self, folder, file):
        with open(os.path.join(folder, file + ".pem"), "rb") as pem, open(os.path.join(folder, file + ".key"), "rb") as key:
            self.certificate = x509.load_pem_x509_certificate(pem.read())
            self.key = serialization.load_pem_private_key(key.read(), None)
        self.name, self.chain, self.issuer = self.certificate.subject, [self.certificate], None


def from_now(seconds):
    return datetime.datetime.utcnow() + datetime.timedelta(seconds=float(seconds))


def more(folder, kind, name, *words):
    ca = Loaded(folder, "ca")
    if kind == "leaf":
        write_leaf(folder, name, Issuer("leaf", ec_key(), ca, names=NAMES, begin=from_now(words[0]), end=from_now(words[1])))
    else:
        file, status, begin, end = words
        issuer = Loaded(folder, "intermediate") if name == "chain" else ca
        write(folder, file, staple(Loaded(folder, name), issuer, ocsp.OCSPCertStatus[status], from_now(begin), from_now(end)))


if __name__ == "__main__":
    main(sys.argv[1]) if len(sys.argv) == 2 else more(*sys.argv[1:])
