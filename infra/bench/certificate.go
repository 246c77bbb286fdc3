package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// An authority stands in for Amazon's certificate authority. It has a root, an intermediate, and a certificate for this
// machine, as Amazon's endpoints do. All of them have RSA keys of 2048 bits.
type authority struct {
	root   []byte // in PEM
	served tls.Certificate
}

func newAuthority() (*authority, error) {
	var keys [3]*rsa.PrivateKey
	var chain [3]*x509.Certificate
	for i := range chain {
		var err error
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, fmt.Errorf("make a certificate: %w", err)
		}
		made := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: fmt.Sprintf("Countersign bench %d", i)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			BasicConstraintsValid: true, IsCA: i < 2, KeyUsage: x509.KeyUsageCertSign,
		}
		if i == 2 {
			made.IPAddresses, made.KeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, x509.KeyUsageDigitalSignature
			made.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
		parent, signer := made, keys[i]
		if i > 0 {
			parent, signer = chain[i-1], keys[i-1]
		}
		der, err := x509.CreateCertificate(rand.Reader, made, parent, &keys[i].PublicKey, signer)
		if err != nil {
			return nil, fmt.Errorf("make a certificate: %w", err)
		}
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("make a certificate: %w", err)
		}
	}
	return &authority{
		root:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[0].Raw}),
		served: tls.Certificate{Certificate: [][]byte{chain[2].Raw, chain[1].Raw}, PrivateKey: keys[2]},
	}, nil
}
