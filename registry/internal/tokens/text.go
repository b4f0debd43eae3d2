package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
)

// A token is Prefix, the id of its register, a secret of 256 bits and a checksum: what
// clients of the Hugging Face Hub take for one of its tokens, letters and digits only.
const (
	// Prefix begins every token.
	Prefix = "hf_"

	idBytes, idLen         = 10, 16
	secretBytes, secretLen = 32, 52
	sumLen                 = 7
	textLen                = len(Prefix) + idLen + secretLen + sumLen
)

// digits are those of base32, as lower-case letters.
const digits = "abcdefghijklmnopqrstuvwxyz234567"

var encoding = base32.NewEncoding(digits).WithPadding(base32.NoPadding)

// draw returns n random bytes as text.
func draw(random io.Reader, n int) (string, error) {
	raw := make([]byte, n)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("draw a token: %w", err)
	}
	return encoding.EncodeToString(raw), nil
}

// newText returns a token, and the id and secret of it.
func newText(random io.Reader) (text, id, secret string, err error) {
	if random == nil {
		random = rand.Reader
	}
	if id, err = draw(random, idBytes); err != nil {
		return "", "", "", err
	}
	if secret, err = draw(random, secretBytes); err != nil {
		return "", "", "", err
	}
	return Prefix + id + secret + checksum(id+secret), id, secret, nil
}

// parseText returns the id and secret of a token. One that was changed on its way is
// told from one that is not good any more.
func parseText(text string) (id, secret string, err error) {
	body, ok := strings.CutPrefix(text, Prefix)
	if !ok || len(text) != textLen || strings.Trim(body, digits) != "" {
		return "", "", misspelt
	}
	id, secret = body[:idLen], body[idLen:idLen+secretLen]
	if checksum(id+secret) != body[idLen+secretLen:] {
		return "", "", misspelt
	}
	return id, secret, nil
}

var misspelt = openapi.Errorf(openapi.CodeUnauthorized, "this is not a token as this registry spells them: copy it again, whole")

func checksum(text string) string {
	sum := crc32.ChecksumIEEE([]byte(text))
	return encoding.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

// hashed is what is stored of a secret. One of 256 random bits is not found by trying,
// so that a slow hash would only make every request slow.
func hashed(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// isID tells the id of a token that is stored.
func isID(text string) bool { return len(text) == idLen && strings.Trim(text, digits) == "" }
