package s3_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]s3.Location{
		"s3://models":              {Bucket: "models"},
		"s3://models/":             {Bucket: "models"},
		"s3://models/a":            {Bucket: "models", Prefix: "a"},
		"s3://models.x/a/B_c-d.e/": {Bucket: "models.x", Prefix: "a/B_c-d.e"},
	} {
		got, err := s3.Parse(text)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", text, got, err, want)
		}
		if again, err := s3.Parse(got.String()); err != nil || again != got {
			t.Errorf("%s is written as %s, which is %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", "models", "s3:/models", "S3://models", "s3://", "s3:///a", "s3://ab", "s3://UPPER", "s3://a_b_c", "s3://1.2.3.4",
		"s3://models//", "s3://models//a", "s3://models/a//b", "s3://models/../a", "s3://models/.a", "s3://models/a b", "s3://models/é",
		"s3://models/a?x=y", "s3://models/" + strings.Repeat("a", 257), "http://host/models", "file:///data",
	} {
		_, err := s3.Parse(text)
		refused(t, text, err, s3.ErrLocation, "s3://BUCKET")
	}
}

// TestDialRefused has everything wrong that an operator can have wrong.
func TestDialRefused(t *testing.T) {
	store := stores.MinIO(t)
	bucket := store.Bucket(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		env    map[string]string
		bucket string
		more   []string
		err    error
		words  []string
	}{
		{"no bucket", nil, "ingot-no-such-bucket", nil, s3.ErrNoBucket, []string{"ingot-no-such-bucket", "make it"}},
		{"no second bucket", nil, bucket, []string{"ingot-no-such-bucket"}, s3.ErrNoBucket, []string{"ingot-no-such-bucket"}},
		{"bad second bucket", nil, bucket, []string{"UPPER"}, s3.ErrLocation, []string{"UPPER"}},
		{"wrong secret", map[string]string{"AWS_SECRET_ACCESS_KEY": "wrong"}, bucket, nil, s3.ErrRefused, []string{"AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"}},
		{"wrong key", map[string]string{"AWS_ACCESS_KEY_ID": "wrong"}, bucket, nil, s3.ErrRefused, []string{"AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"}},
		{"no secret", map[string]string{"AWS_SECRET_ACCESS_KEY": ""}, bucket, nil, s3.ErrNoCredentials, []string{"one is missing"}},
		{"nobody", map[string]string{"AWS_SECRET_ACCESS_KEY": "", "AWS_ACCESS_KEY_ID": ""}, bucket, nil, s3.ErrNoCredentials, []string{"AWS_PROFILE"}},
		{"nobody listens", map[string]string{"AWS_ENDPOINT_URL": nobody}, bucket, nil, s3.ErrUnreachable, []string{nobody, "refused", "AWS_ENDPOINT_URL"}},
		{"no such host", map[string]string{"AWS_ENDPOINT_URL": "http://ingot.invalid"}, bucket, nil, s3.ErrUnreachable, []string{"ingot.invalid"}},
		{"not a URL", map[string]string{"AWS_ENDPOINT_URL": "127.0.0.1:9000"}, bucket, nil, nil, []string{"AWS_ENDPOINT_URL", "http://HOST"}},
		{"a path", map[string]string{"AWS_ENDPOINT_URL": store.Endpoint + "/minio"}, bucket, nil, nil, []string{"AWS_ENDPOINT_URL"}},
		{"no certificates", map[string]string{"AWS_CA_BUNDLE": "dial_test.go"}, bucket, nil, nil, []string{"AWS_CA_BUNDLE", "no certificate"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			home(t)
			store.Setenv(t)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			_, err := s3.Dial(t.Context(), place(tt.bucket, "p"), s3.Options{Buckets: tt.more})
			if err == nil {
				t.Fatal("it is opened")
			}
			kind := tt.err
			if kind == nil {
				kind = err
			}
			refused(t, tt.name, err, kind, tt.words...)
		})
	}
}

// home gives the test a home without files.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	for _, name := range []string{"AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
	return dir
}

// TestDialAnswers has the store refuse what cannot be arranged with a real one.
func TestDialAnswers(t *testing.T) {
	tests := []struct {
		name  string
		fault fault
		err   error
		words []string
	}{
		{"clock", status(http.StatusForbidden, "RequestTimeTooSkewed"), s3.ErrRefused, []string{"clock", "NTP"}},
		{"rights", status(http.StatusForbidden, "AccessDenied"), s3.ErrRefused, []string{"denied", "ListBucket"}},
		{"token", status(http.StatusBadRequest, "ExpiredToken"), s3.ErrRefused, []string{"AWS_SESSION_TOKEN"}},
		{"region", page(http.StatusBadRequest, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"), s3.ErrRefused, []string{"eu-west-1", "AWS_REGION"}},
		{"other", status(http.StatusMethodNotAllowed, "MethodNotAllowed"), s3.ErrAnswer, []string{"405", "a message"}},
	}
	store := stores.MinIO(t)
	store.Setenv(t)
	w := newWire(t)
	for _, tt := range tests {
		w.fail(every, tt.fault)
		_, err := s3.Dial(t.Context(), place("some-bucket", "p"), s3.Options{Transport: w})
		refused(t, tt.name, err, tt.err, tt.words...)
		if n := w.count(every); n != 1 {
			t.Errorf("%s: %d requests", tt.name, n)
		}
	}
}

// TestDialFiles takes everything from the files of a profile.
func TestDialFiles(t *testing.T) {
	store := stores.MinIO(t)
	bucket := store.Bucket(t)
	dir := filepath.Join(home(t), ".aws")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, v := range store.Env() {
		name, _, _ := strings.Cut(v, "=")
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_PROFILE", "ingot")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config", "[default]\nregion = eu-west-1\n[profile ingot]\nregion = us-east-1\nendpoint_url = "+store.Endpoint+"\n")
	write("credentials", "[default]\naws_access_key_id = x\naws_secret_access_key = y\n[ingot]\naws_access_key_id = "+store.AccessKey+"\naws_secret_access_key = "+store.SecretKey+"\n")
	space, err := s3.Dial(t.Context(), place(bucket, "p"), s3.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := space.Blobs().Put(t.Context(), "c/x"); err != nil {
		t.Error(err)
	}
	if s3.Endpoint(space) != store.Endpoint {
		t.Errorf("the endpoint is %s", s3.Endpoint(space))
	}
	write("config", "[profile ingot\nendpoint")
	_, err = s3.Dial(t.Context(), place(bucket, "p"), s3.Options{})
	if err == nil || !strings.Contains(err.Error(), "config") {
		t.Errorf("a damaged file: %v", err)
	}
}

// TestErrors holds errors of a store that is full or gone to what callers look for.
func TestErrors(t *testing.T) {
	space, w := wired(t)
	w.fail(every, status(http.StatusNotFound, "NoSuchBucket"))
	_, _, err := space.Registers().Get(t.Context(), "k")
	if refused(t, "get", err, s3.ErrNoBucket, "does not exist"); errors.Is(err, registers.ErrNotFound) {
		t.Errorf("a bucket that is gone is no register that is absent: %v", err)
	}
	w.fail(every, status(http.StatusNotFound, "NoSuchBucket"))
	_, err = readAll(t.Context(), space.Blobs(), "c/x", 0, -1)
	if refused(t, "open", err, s3.ErrNoBucket, "does not exist"); errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("a bucket that is gone is no blob that is absent: %v", err)
	}
}
