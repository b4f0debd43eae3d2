package collect

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// keptLists is how long the lists of collections are kept. A push that began before
// the oldest of them has to start again, so it is longer than any push.
const keptLists = 90 * 24 * time.Hour

// forget deletes the lists of collections that ended long ago, and what else lies
// beside them.
func (r *run) forget(ctx context.Context) error {
	var old []string
	for info, err := range r.Blobs.List(ctx, placement.Lists.Prefix(), "") {
		if err != nil {
			return fmt.Errorf("list old lists: %w", err)
		}
		epoch, isList := epochOf(info.Name)
		if (!isList || epoch < r.report.Epoch) && r.Now().Sub(info.Modified) > keptLists {
			old = append(old, info.Name)
		}
	}
	if len(old) == 0 {
		return nil
	}
	return r.Sweeper.Delete(ctx, old)
}

// epochOf returns the epoch of the list of that name.
func epochOf(list string) (uint64, bool) {
	digits, _, _ := strings.Cut(strings.TrimPrefix(list, placement.Lists.Prefix()), ".")
	epoch, err := strconv.ParseUint(digits, 16, 64)
	return epoch, err == nil && len(digits) == 16
}
