package registry

import (
	"path/filepath"
	"time"

	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/publish"
)

// arrivals is the folder for files while they arrive.
const arrivals = "arriving"

// writer returns what takes files and commits from clients of other registries, or
// nil where nothing is written.
func (r *Registry) writer(policy access.Policy) (hub.Writer, error) {
	if r.config.ReadOnly {
		return nil, nil
	}
	store, err := ingest.New(ingest.Config{
		Versions: r.service, Dir: filepath.Join(r.place.folder, arrivals), Limit: r.config.Arrivals, Reserve: r.place.reserve,
		Memory: r.config.Memory, Now: time.Now, Logger: r.config.Logger,
	})
	if err != nil {
		return nil, err
	}
	r.ingest = store
	r.commits = commits.New(r.service, store, r.config.Logger)
	return publish.New(publish.Config{
		Versions: r.service, Ingest: store, Commits: r.commits, Grants: r.grants, Valid: r.control.valid, Policy: policy, Logger: r.config.Logger,
	}), nil
}
