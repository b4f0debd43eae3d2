package nodes

import (
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// Longest texts of a report, in bytes.
const (
	maxAddress = 256
	maxProgram = 64
)

// check judges a report, and returns the repositories of its models.
func check(r *openapi.NodeReport) ([]name.Repo, error) {
	switch {
	case r.TTL < 1 || r.TTL > openapi.MaxNodeTTL:
		return nil, bad("ttl %d: want 1 to %d seconds", r.TTL, openapi.MaxNodeTTL)
	case len(r.Models) > openapi.MaxNodeModels:
		return nil, openapi.Errorf(openapi.CodeTooLarge, "%d models, want at most %d", len(r.Models), openapi.MaxNodeModels)
	case !line(r.Address, maxAddress):
		return nil, bad("address %.80q: want at most %d printable characters of ASCII", r.Address, maxAddress)
	case !line(r.Program, maxProgram):
		return nil, bad("program %.80q: want at most %d printable characters of ASCII", r.Program, maxProgram)
	}
	for _, t := range []openapi.TierUsage{r.Tiers.Disk, r.Tiers.RAM, r.Tiers.GPU} {
		if t.Used < 0 || t.Budget < 0 || t.Orphaned < 0 || t.FilesBytes < 0 || t.Models < 0 || t.Limit < 0 {
			return nil, bad("tiers: want no negative numbers")
		}
	}
	repos := make([]name.Repo, len(r.Models))
	for i, m := range r.Models {
		ref, err := name.ParseRef(m.Ref)
		switch {
		case err != nil:
			return nil, openapi.Errorf(openapi.CodeBadName, "model %d: %v", i, err)
		case m.Version.IsZero():
			return nil, bad("model %d: no version", i)
		case m.Leases < 0:
			return nil, bad("model %d: %d leases", i, m.Leases)
		}
		repos[i] = ref.Repo
	}
	return repos, nil
}

// line reports whether s is short and prints on one line as it is.
func line(s string, most int) bool {
	return len(s) <= most && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

func bad(format string, args ...any) error {
	return openapi.Errorf(openapi.CodeBadRequest, format, args...)
}
