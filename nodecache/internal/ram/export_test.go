package ram

import "github.com/ingot-ml/ingot/chunker"

// Damage changes a byte of a chunk.
func (d *Domain) Damage(digest chunker.Digest) {
	d.tier.mu.Lock()
	defer d.tier.mu.Unlock()
	b := d.places[digest].bytes()
	b[len(b)/2] ^= 1
}
