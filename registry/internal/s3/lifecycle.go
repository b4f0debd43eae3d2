package s3

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7/pkg/lifecycle"
)

// rules returns the lifecycle rules of a bucket.
func (b bucket) rules(ctx context.Context) ([]lifecycle.Rule, error) {
	var config *lifecycle.Configuration
	err := b.again(ctx, func() (err error) {
		config, err = b.core.GetBucketLifecycle(ctx, b.name)
		return err
	})
	resp, _ := response(err)
	switch {
	case resp.Code == "NoSuchLifecycleConfiguration", resp.StatusCode == http.StatusNotImplemented, resp.StatusCode == http.StatusMethodNotAllowed:
		return nil, nil // the store has no rules, or knows none
	case err != nil:
		return nil, err
	}
	return config.Rules, nil
}

// dangerous returns the rules of a bucket that reach below root, in words.
func (b bucket) dangerous(ctx context.Context, root string) ([]string, error) {
	rules, err := b.rules(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, rule := range rules {
		if what := harm(rule); what != "" && reaches(rule, root) {
			found = append(found, fmt.Sprintf("rule %q of bucket %s %s below %q", plainText(rule.ID), b.name, what, rulePrefix(rule)))
		}
	}
	return found, nil
}

// harm says what a rule does to current objects, "" if nothing. What it does to old
// versions of objects and to unfinished uploads is harmless.
func harm(rule lifecycle.Rule) string {
	if rule.Status != "Enabled" {
		return ""
	}
	var what []string
	if e := rule.Expiration; !e.IsDaysNull() || !e.IsDateNull() || e.DeleteAll.IsEnabled() {
		what = append(what, "deletes objects")
	}
	if t := rule.Transition; t.StorageClass != "" {
		what = append(what, "moves objects to "+plainText(t.StorageClass))
	}
	return strings.Join(what, " and ")
}

// rulePrefix returns what the keys of a rule's objects start with, which has three
// places to stand.
func rulePrefix(rule lifecycle.Rule) string {
	for _, prefix := range []string{rule.RuleFilter.And.Prefix, rule.RuleFilter.Prefix, rule.Prefix} {
		if prefix != "" {
			return prefix
		}
	}
	return ""
}

// reaches reports whether a rule may apply to objects below root. Ours have no tags.
func reaches(rule lifecycle.Rule, root string) bool {
	if rule.RuleFilter.Tag.Key != "" || len(rule.RuleFilter.And.Tags) > 0 {
		return false
	}
	prefix := rulePrefix(rule)
	if strings.HasPrefix(root, prefix) {
		return true
	}
	below, ok := strings.CutPrefix(prefix, root)
	return ok && slices.ContainsFunc(roots, func(r string) bool {
		return r != scratchRoot && (strings.HasPrefix(below, r) || strings.HasPrefix(r, below))
	})
}
