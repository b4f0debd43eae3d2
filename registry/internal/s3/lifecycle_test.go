package s3_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

func TestDangerousRules(t *testing.T) {
	store := stores.MinIO(t)
	space := dial(t, store, s3.Options{Buckets: []string{store.Bucket(t)}})
	expire := lifecycle.Expiration{Days: 30}
	rules := []lifecycle.Rule{
		{ID: "whole-bucket", Status: "Enabled", Expiration: expire},
		{ID: "above", Status: "Enabled", Expiration: expire, RuleFilter: lifecycle.Filter{Prefix: "some/"}},
		{ID: "part-of-a-name", Status: "Enabled", Expiration: expire, RuleFilter: lifecycle.Filter{Prefix: "some/pre"}},
		{ID: "chunks", Status: "Enabled", Expiration: expire, RuleFilter: lifecycle.Filter{Prefix: "some/prefix/c/"}},
		{ID: "large-ones", Status: "Enabled", Expiration: expire, RuleFilter: lifecycle.Filter{And: lifecycle.And{Prefix: "some/prefix", ObjectSizeGreaterThan: 1 << 20}}},
		{ID: "off", Status: "Disabled", Expiration: expire},
		{ID: "beside", Status: "Enabled", Expiration: expire, RuleFilter: lifecycle.Filter{Prefix: "some/other"}},
		{ID: "logs", Status: "Enabled", Expiration: expire, RuleFilter: lifecycle.Filter{Prefix: "some/prefix/logs/"}},
		{ID: "tagged", Status: "Enabled", Expiration: expire, RuleFilter: lifecycle.Filter{Tag: lifecycle.Tag{Key: "temporary", Value: "yes"}}},
		{ID: "old-versions", Status: "Enabled", NoncurrentVersionExpiration: lifecycle.NoncurrentVersionExpiration{NoncurrentDays: 7}},
		{ID: "scratch", Status: "Enabled", Expiration: lifecycle.Expiration{Days: 1}, RuleFilter: lifecycle.Filter{Prefix: "some/prefix/doctor/"}},
	}
	if got, err := space.DangerousRules(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("without rules: %q, %v", got, err)
	}
	client := plain(t, store, nil)
	err := client.SetBucketLifecycle(t.Context(), space.Location().Bucket, &lifecycle.Configuration{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	got, err := space.DangerousRules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, text := range got {
		if !strings.Contains(text, "deletes objects") || !strings.Contains(text, space.Location().Bucket) {
			t.Errorf("a rule is described as %q", text)
		}
		names = append(names, strings.Split(text, `"`)[1])
	}
	slices.Sort(names)
	if want := []string{"above", "chunks", "large-ones", "part-of-a-name", "whole-bucket"}; !slices.Equal(names, want) {
		t.Errorf("dangerous are %q, want %q", names, want)
	}
}

// TestNoRules asks a store that knows no rules.
func TestNoRules(t *testing.T) {
	both(t, func(t *testing.T, store *storetest.Store) {
		if got, err := dial(t, store, s3.Options{}).DangerousRules(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("dangerous are %q, %v", got, err)
		}
	})
}
