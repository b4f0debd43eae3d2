package ram

// Pane is memory without a name, for chunks that pass through. One goroutine at a
// time uses it.
type Pane struct {
	tier  *Tier
	place *place
}

// Window returns memory for chunks of these sizes that have no name, one behind
// the other as those of a group of Claim. It takes nothing if it fails: with
// tier.ErrFull when there is no room.
func (d *Domain) Window(sizes []uint32) ([]*Pane, error) {
	for _, size := range sizes {
		if err := check(size); err != nil {
			return nil, err
		}
	}
	defer func() { _ = d.tier.bury() }() // of a segment that was taken for nothing
	d.tier.mu.Lock()
	defer d.tier.mu.Unlock()
	d.tier.sweep()
	places, err := d.tier.take(d, sizes)
	if err != nil {
		d.tier.forget(places...)
		return nil, err
	}
	panes := make([]*Pane, len(places))
	for i, p := range places {
		panes[i] = &Pane{tier: d.tier, place: p}
	}
	return panes, nil
}

// Bytes is the memory, to fill and then to leave as it is.
func (p *Pane) Bytes() []byte { return p.place.room(p.tier.config.Huge) }

// Place is where the memory lies, as Domain.Place says.
func (p *Pane) Place() (segment uint64, offset, length int64) { return p.place.at() }

// Free gives the memory back, once.
func (p *Pane) Free() { p.tier.free(p.place) }
