package signature_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/signature"
)

var (
	doc   = []byte("a manifest")
	other = []byte("another manifest")
	claim = signature.Claim{Repo: "acme/llama", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
)

func generate(t testing.TB) *signature.PrivateKey {
	t.Helper()
	key, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, key *signature.PrivateKey, doc []byte) []byte {
	t.Helper()
	b, err := signature.Sign(key, doc, claim)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pkcs8 is a key as a tool would write it.
func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func p256(t *testing.T) *signature.PrivateKey {
	t.Helper()
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signature.ParsePrivateKey(pkcs8(t, raw))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSignAndVerify signs with a key of each kind, which comes back from its file, and
// verifies with several at once.
func TestSignAndVerify(t *testing.T) {
	keys := []*signature.PrivateKey{generate(t), p256(t), generate(t)}
	var public []*signature.PublicKey
	var file []byte
	for _, k := range keys[:2] {
		text, err := k.Public().PEM()
		if err != nil {
			t.Fatal(err)
		}
		file = append(append(file, "a comment\n"...), text...)
	}
	public, err := signature.ParsePublicKeys(file)
	if err != nil || len(public) != 2 {
		t.Fatalf("%d keys, %v", len(public), err)
	}
	d := chunker.Sum(doc)
	for i, k := range keys {
		text, err := k.PEM()
		if err != nil {
			t.Fatal(err)
		}
		again, err := signature.ParsePrivateKey(text)
		if err != nil {
			t.Fatal(err)
		}
		good, err := signature.Verify(d, [][]byte{[]byte("{}"), sign(t, again, doc)}, public...)
		if i == 2 {
			if !errors.Is(err, signature.ErrUntrusted) || len(good) != 0 || !strings.Contains(err.Error(), public[0].Hint()) {
				t.Errorf("a key that is not trusted: %v, %v", good, err)
			}
			continue
		}
		if err != nil || len(good) != 1 || good[0].Key.Hint() != k.Public().Hint() || good[0].Bundle.Claim != claim || good[0].Bundle.Hint != k.Public().Hint() {
			t.Errorf("key %d: %+v, %v", i, good, err)
		}
	}
	if _, err := signature.Verify(d, nil, public...); !errors.Is(err, signature.ErrUntrusted) {
		t.Errorf("no signature: %v", err)
	}
	if _, err := signature.Verify(d, [][]byte{sign(t, keys[0], doc)}); !errors.Is(err, signature.ErrUntrusted) {
		t.Errorf("no key: %v", err)
	}
}

// bundle is a signature that a test takes apart.
type bundle struct {
	MediaType string         `json:"mediaType"`
	Material  map[string]any `json:"verificationMaterial"`
	Envelope  *envelope      `json:"dsseEnvelope,omitempty"`
}

type envelope struct {
	Type       string              `json:"payloadType"`
	Payload    string              `json:"payload"`
	Signatures []map[string]string `json:"signatures"`
}

func (b *bundle) payload(t *testing.T) string {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(b.Envelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (b *bundle) setPayload(text string) {
	b.Envelope.Payload = base64.StdEncoding.EncodeToString([]byte(text))
}

// TestForged changes a good signature in every way that a forger may try: none is good
// afterwards, and what has not the form is not read.
func TestForged(t *testing.T) {
	key, foreign := generate(t), generate(t)
	d, o := chunker.Sum(doc), chunker.Sum(other)
	tests := []struct {
		what   string
		change func(b *bundle)
		unread bool // Parse refuses it
	}{
		{"another version in the statement", func(b *bundle) { b.setPayload(strings.ReplaceAll(b.payload(t), d.String(), o.String())) }, false},
		{"a changed claim", func(b *bundle) { b.setPayload(strings.Replace(b.payload(t), "acme", "evil", 1)) }, false},
		{"a space more", func(b *bundle) { b.setPayload(b.payload(t) + " ") }, false},
		{"the signature of another statement", func(b *bundle) {
			var good bundle
			unmarshal(t, sign(t, key, other), &good)
			b.Envelope.Signatures = good.Envelope.Signatures
		}, false},
		{"the signature of a stranger, in the name of the key", func(b *bundle) {
			var theirs bundle
			unmarshal(t, sign(t, foreign, doc), &theirs)
			b.Envelope.Signatures = theirs.Envelope.Signatures
		}, false},
		{"no signature", func(b *bundle) { b.Envelope.Signatures = nil }, true},
		{"an empty signature", func(b *bundle) { b.Envelope.Signatures[0]["sig"] = "" }, false},
		{"zeroes", func(b *bundle) {
			b.Envelope.Signatures[0]["sig"] = base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize))
		}, false},
		{"two signatures", func(b *bundle) { b.Envelope.Signatures = append(b.Envelope.Signatures, b.Envelope.Signatures[0]) }, true},
		{"another payload type", func(b *bundle) { b.Envelope.Type = "text/plain" }, true},
		{"no envelope", func(b *bundle) { b.Envelope = nil }, true},
		{"another media type", func(b *bundle) { b.MediaType = "application/json" }, true},
		{"a payload that is no base64", func(b *bundle) { b.Envelope.Payload = "%" }, true},
		{"no statement", func(b *bundle) { b.setPayload("[]") }, true},
		{"two subjects", func(b *bundle) {
			b.setPayload(strings.Replace(b.payload(t), `"subject":[`, `"subject":[{"digest":{"blake3":"`+o.String()+`"}},`, 1))
		}, true},
		{"no BLAKE3", func(b *bundle) { b.setPayload(strings.Replace(b.payload(t), "blake3", "blake2", 1)) }, true},
		{"a long name of the key", func(b *bundle) {
			b.Material["publicKey"] = map[string]string{"hint": strings.Repeat("x", 257)}
		}, true},
	}
	for _, tt := range tests {
		var b bundle
		unmarshal(t, sign(t, key, doc), &b)
		tt.change(&b)
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signature.Parse(text); errors.Is(err, signature.ErrInvalid) != tt.unread {
			t.Errorf("%s: %v", tt.what, err)
		}
		for _, version := range []chunker.Digest{d, o} {
			if good, err := signature.Verify(version, [][]byte{text}, key.Public()); !errors.Is(err, signature.ErrUntrusted) || good != nil {
				t.Errorf("%s: is good for %s: %v", tt.what, version.Short(), err)
			}
		}
	}
	if _, err := signature.Parse(make([]byte, signature.MaxSize+1)); !errors.Is(err, signature.ErrInvalid) {
		t.Errorf("a bundle beyond the limit: %v", err)
	}
	good := sign(t, key, doc)
	if _, err := signature.Verify(o, [][]byte{good}, key.Public()); !errors.Is(err, signature.ErrUntrusted) {
		t.Errorf("replayed for another version: %v", err)
	}
	if _, err := signature.Verify(d, [][]byte{good}, key.Public()); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

func unmarshal(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// TestKeyHint changes what a bundle says of its key: that decides nothing.
func TestKeyHint(t *testing.T) {
	key := generate(t)
	var b bundle
	unmarshal(t, sign(t, key, doc), &b)
	stranger := generate(t).Public().Hint()
	b.Material = map[string]any{"publicKey": map[string]string{"hint": stranger}}
	b.Envelope.Signatures[0]["keyid"] = stranger
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signature.Verify(chunker.Sum(doc), [][]byte{text}, key.Public()); err != nil {
		t.Errorf("with another name of the key: %v", err)
	}
}

// TestBadKeys reads files that hold no key that is known.
func TestBadKeys(t *testing.T) {
	key := generate(t)
	private, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public().PEM()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string][]byte{
		"nothing": nil, "text": []byte("key"), "cut": public[:len(public)/2], "cut behind a good one": append(bytes.Clone(public), public[:40]...),
		"a private key": private, "too much": bytes.Repeat([]byte("\n"), 64<<10+1), "too many": bytes.Repeat(public, signature.MaxKeys+1),
		"bytes": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("bytes")}),
	} {
		if keys, err := signature.ParsePublicKeys(text); !errors.Is(err, signature.ErrKey) || keys != nil {
			t.Errorf("public keys from %s: %v, %v", what, keys, err)
		}
	}
	for what, text := range map[string][]byte{
		"nothing": nil, "a public key": public, "two": append(bytes.Clone(private), private...), "RSA": pkcs8(t, raw), "P-384": pkcs8(t, large),
		"encrypted": pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("bytes")}),
	} {
		if _, err := signature.ParsePrivateKey(text); !errors.Is(err, signature.ErrKey) {
			t.Errorf("a private key from %s: %v", what, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	key := generate(f)
	good := sign(f, key, doc)
	f.Add(good)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payloadType":"application/vnd.in-toto+json","payload":"e30","signatures":[{"sig":""}]}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := signature.Parse(text)
		if err != nil {
			return
		}
		if _, err := b.Verify(chunker.Sum(other), key.Public()); err == nil {
			t.Error("a signature of what was never signed")
		}
	})
}

func FuzzKeys(f *testing.F) {
	public, err := generate(f).Public().PEM()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(public)
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := signature.ParsePublicKeys(text)
		if (err == nil) == (len(keys) == 0) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		if _, err := signature.ParsePrivateKey(text); err == nil && len(keys) > 0 {
			t.Error("a file is a private key and public ones")
		}
	})
}
