package remote_test

import (
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/client/remote"
	"github.com/ingot-ml/ingot/registry/name"
)

// FuzzParseRevision holds what a revision says to the rules of names: it says one
// thing at most, and that is fit for the path of a request.
func FuzzParseRevision(f *testing.F) {
	for _, s := range []string{"main", "refs/heads/main", "refs/tags/v1", "refs/pr/1", "", strings.Repeat("a", 40), strings.Repeat("0", 64), strings.Repeat("f", 64), "../x", "a/b", "hf-x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := remote.ParseRevision(text)
		said := 0
		for _, is := range []bool{r.Tag != "", r.Commit != "", !r.Digest.IsZero()} {
			if is {
				said++
			}
		}
		if said > 1 || r.Tag != "" && name.CheckTag(r.Tag) != nil || r.Commit != "" && len(r.Commit) != 40 {
			t.Errorf("%q is %+v", text, r)
		}
	})
}
