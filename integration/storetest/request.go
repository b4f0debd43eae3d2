package storetest

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Bucket makes a bucket for one test.
func (s *Store) Bucket(t testing.TB) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:16])
	s.Want(t, http.StatusOK, http.MethodPut, name, "", nil)
	return name
}

// Want sends a signed request as Do does, and fails the test unless the answer has
// that status. It returns the body.
func (s *Store) Want(t testing.TB, status int, method, path, query string, body []byte) []byte {
	t.Helper()
	got, answer := s.Do(t, method, path, query, body)
	if got != status {
		t.Fatalf("%s %s?%s: status %d, want %d: %.300s", method, path, query, got, status, answer)
	}
	return answer
}

// Do sends a signed request past everything that ingot does, and returns its status
// and body: for objects of others, for settings of a bucket, and for looking behind.
// path is BUCKET or BUCKET/KEY, query as in a URL.
func (s *Store) Do(t testing.TB, method, path, query string, body []byte) (int, []byte) {
	t.Helper()
	at := &url.URL{Scheme: "http", Host: strings.TrimPrefix(s.Endpoint, "http://"), Path: "/" + path, RawQuery: query}
	req, err := http.NewRequestWithContext(t.Context(), method, at.String(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > 0 { // some settings are not taken without
		sum := md5.Sum(body)
		req.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	s.sign(req, body, time.Now().UTC())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// sign adds the headers of AWS Signature Version 4.
func (s *Store) sign(req *http.Request, body []byte, now time.Time) {
	sum := sha256.Sum256(body)
	payload, stamp, day := hex.EncodeToString(sum[:]), now.Format("20060102T150405Z"), now.Format("20060102")
	req.Header.Set("X-Amz-Content-Sha256", payload)
	req.Header.Set("X-Amz-Date", stamp)
	const signed = "host;x-amz-content-sha256;x-amz-date"
	canonical := strings.Join([]string{
		req.Method, req.URL.EscapedPath(), req.URL.Query().Encode(),
		"host:" + req.URL.Host, "x-amz-content-sha256:" + payload, "x-amz-date:" + stamp, "",
		signed, payload,
	}, "\n")
	scope := strings.Join([]string{day, s.Region, "s3", "aws4_request"}, "/")
	hash := sha256.Sum256([]byte(canonical))
	key := []byte("AWS4" + s.SecretKey)
	for _, part := range []string{day, s.Region, "s3", "aws4_request"} {
		key = mac(key, part)
	}
	signature := mac(key, strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hex.EncodeToString(hash[:])}, "\n"))
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x",
		s.AccessKey, scope, signed, signature))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
