package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"gopkg.in/ini.v1"
)

// ErrNoCredentials reports that nothing says who we are.
var ErrNoCredentials = errors.New("no credentials for the store")

// settings are what the environment says of a store.
type settings struct {
	endpoint *url.URL
	region   string // "" lets AWS say where the bucket is
}

// readSettings reads variables first, and then the profile's section of the AWS
// config file.
func readSettings() (settings, error) {
	profile, err := readProfile()
	if err != nil {
		return settings{}, err
	}
	set := settings{region: cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), profile["region"])}
	text := cmp.Or(os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), profile["endpoint_url"])
	if text == "" {
		text = "https://s3.amazonaws.com"
		if set.region != "" {
			text = "https://s3." + set.region + ".amazonaws.com"
		}
	} else if set.region == "" {
		set.region = "us-east-1" // which is how stores that have no regions call theirs
	}
	set.endpoint, err = endpointOf(text)
	return set, err
}

// readProfile returns the keys of the profile in the AWS config file, if there is
// one.
func readProfile() (map[string]string, error) {
	name := cmp.Or(os.Getenv("AWS_PROFILE"), "default")
	path := os.Getenv("AWS_CONFIG_FILE")
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, nil // who has no home has no files there
		}
		path = filepath.Join(home, ".aws", "config")
	}
	file, err := ini.LoadSources(ini.LoadOptions{Loose: true, SkipUnrecognizableLines: true}, path)
	if err != nil {
		return nil, fmt.Errorf("read AWS config file %s: %w", path, err)
	}
	for _, section := range []string{"profile " + name, name} {
		if file.HasSection(section) {
			return file.Section(section).KeysHash(), nil
		}
	}
	return nil, nil
}

// roleTime bounds a question to the machine's metadata service, which is not there on
// most machines.
const roleTime = 5 * time.Second

// credentialsOf returns who we are, and refuses to be nobody.
func credentialsOf(ctx context.Context, set settings) (*credentials.Credentials, error) {
	dialer := net.Dialer{Timeout: roleTime / 2}
	client := &http.Client{Timeout: roleTime, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, DisableKeepAlives: true,
	}}
	c := &chain{names: []string{"environment", "files"}, providers: []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}}
	if asksRole() {
		c.names = append(c.names, "role")
		c.providers = append(c.providers, &credentials.IAM{Client: client, Region: set.region})
	}
	creds := credentials.New(c)
	if _, err := creds.GetWithContext(&credentials.CredContext{Client: client, Context: ctx}); err != nil {
		return nil, err
	}
	return creds, nil
}

// asksRole reports whether the machine or the container may have a role.
func asksRole() bool {
	for _, name := range []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return os.Getenv("AWS_EC2_METADATA_DISABLED") != "true"
}

// chain asks providers in turn, and unlike that of minio-go says what they said when
// none knows who we are, and does not go on as nobody.
type chain struct {
	names     []string
	providers []credentials.Provider
	now       credentials.Provider
}

// RetrieveWithCredContext implements credentials.Provider.
func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	var reasons error
	for i, p := range c.providers {
		value, err := p.RetrieveWithCredContext(cc)
		if err == nil && (value.AccessKeyID == "") != (value.SecretAccessKey == "") {
			return credentials.Value{}, fmt.Errorf("%w: of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY one is missing (%s)", ErrNoCredentials, c.names[i])
		}
		if err == nil && value.AccessKeyID != "" {
			c.now = p
			return value, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			reasons = errors.Join(reasons, fmt.Errorf("%s: %s", c.names[i], plainText(err.Error())))
		}
	}
	return credentials.Value{}, &sentence{
		text: fmt.Sprintf("%v: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE%s", ErrNoCredentials, because(reasons)),
		kind: ErrNoCredentials, cause: reasons,
	}
}

// because returns what the providers said, in one line.
func because(reasons error) string {
	if reasons == nil {
		return ""
	}
	return " (" + plainText(reasons.Error()) + ")"
}

// Retrieve implements credentials.Provider.
func (c *chain) Retrieve() (credentials.Value, error) {
	return c.RetrieveWithCredContext(&credentials.CredContext{Client: http.DefaultClient})
}

// IsExpired implements credentials.Provider.
func (c *chain) IsExpired() bool { return c.now == nil || c.now.IsExpired() }
