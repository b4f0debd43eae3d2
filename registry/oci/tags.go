package oci

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"

	"github.com/ingot-ml/ingot/registry/name"
)

// maxTags is the longest page of tags.
const maxTags = 1000

// tags answers /v2/{namespace}/{model}/tags/list.
func (c *call) tags() error {
	q := c.r.URL.Query()
	n := maxTags
	if s := q.Get("n"); s != "" {
		asked, err := strconv.Atoi(s)
		if err != nil || asked < 0 {
			return &problem{codePagination, "n: want a number of tags", http.StatusBadRequest}
		}
		n = min(n, asked)
	}
	refs, err := c.source.Refs(c.r.Context(), c.repo)
	if err != nil {
		return err
	}
	names := []string{}
	for _, r := range refs {
		if name.CheckTag(r.Name) == nil { // branches of other hubs may have slashes
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	if last := q.Get("last"); last != "" {
		names = names[sort.Search(len(names), func(i int) bool { return names[i] > last }):]
	}
	if n > 0 && len(names) > n {
		next := url.Values{"n": {strconv.Itoa(n)}, "last": {names[n-1]}}
		c.w.Header().Set("Link", "<"+c.r.URL.EscapedPath()+"?"+next.Encode()+`>; rel="next"`)
	}
	b, err := json.Marshal(struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{c.repo.String(), names[:min(n, len(names))]})
	if err != nil {
		return err
	}
	return sendDocument(c.w, c.r, mediaJSON, b)
}
