package signature_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/signature"
)

// TestOtherStatements has the trusted key sign other things of the same version, such as
// what a scanner has found: they are no signatures of it.
func TestOtherStatements(t *testing.T) {
	key := generate(t)
	d := chunker.Sum(doc)
	var good bundle
	unmarshal(t, sign(t, key, doc), &good)
	for what, change := range map[string]func(string) string{
		"as it is":               func(s string) string { return s },
		"another predicate":      func(s string) string { return strings.Replace(s, signature.Predicate, "https://scanner.example/v1", 1) },
		"a predicate beyond it":  func(s string) string { return strings.Replace(s, signature.Predicate, signature.Predicate+"1", 1) },
		"another statement":      func(s string) string { return strings.Replace(s, "Statement/v1", "Statement/v0.1", 1) },
		"a digest in upper case": func(s string) string { return strings.Replace(s, d.String(), strings.ToUpper(d.String()), 1) },
		"only the SHA-256":       func(s string) string { return strings.Replace(s, `"blake3"`, `"other"`, 1) },
	} {
		for _, media := range []string{good.Envelope.Type, "application/json"} {
			signer, err := dsse.NewEnvelopeSigner(key)
			if err != nil {
				t.Fatal(err)
			}
			e, err := signer.SignPayload(t.Context(), media, []byte(change(good.payload(t))))
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(map[string]any{"mediaType": good.MediaType, "verificationMaterial": good.Material, "dsseEnvelope": e})
			if err != nil {
				t.Fatal(err)
			}
			_, err = signature.Verify(d, [][]byte{text}, key.Public())
			if ok := what == "as it is" && media == good.Envelope.Type; ok != (err == nil) || !ok && !errors.Is(err, signature.ErrUntrusted) {
				t.Errorf("%s, as %s: %v", what, media, err)
			}
		}
	}
}
