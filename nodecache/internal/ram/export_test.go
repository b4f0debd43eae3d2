package ram

import (
	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/chunker"
)

// Segments is how many segments there are.
func (t *Tier) Segments() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.segments)
}

// Resident is what the system says that all segments take.
func (t *Tier) Resident() (bytes int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.segments {
		var stat unix.Stat_t
		if err := unix.Fstat(int(g.write.Fd()), &stat); err != nil {
			return 0, err
		}
		bytes += stat.Blocks * 512
	}
	return bytes, nil
}

// Damage changes a byte of a chunk.
func (d *Domain) Damage(digest chunker.Digest) {
	d.tier.mu.Lock()
	defer d.tier.mu.Unlock()
	b := d.places[digest].bytes()
	b[len(b)/2] ^= 1
}
