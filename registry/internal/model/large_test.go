package model

// largeSystems are walked through by "make models" only: minutes, and gigabytes.
func largeSystems() []safe {
	large := func(change func(p *Pushes)) Pushes { return push1(change) }
	return []safe{
		{"two collectors, two pushes", large(func(p *Pushes) { p.Pushers, p.Collectors = 2, 2 }), pushed, 0, 0},
		{"two pushes, three names", large(func(p *Pushes) { p.Pushers, p.Names, p.Listing = 2, 3, true }), pushed, 0, 0},
		{"two pushes, two collections", large(func(p *Pushes) { p.Pushers, p.Epochs = 2, 2 }), pushed, 0, 0},
		{"two collectors, three collections", large(func(p *Pushes) { p.Names, p.Collectors, p.Epochs = 3, 2, 3 }), pushed, 0, 0},
		{"a push that begins again from memory, two collectors", large(func(p *Pushes) { p.Names, p.Collectors, p.Epochs, p.Retry, p.Judge = 3, 2, 3, 2, true }), pushed, 0, 0},
		{"two pushes of one version, two collectors", large(func(p *Pushes) { p.Pushers, p.Collectors, p.Same, p.Retire = 2, 2, true, 2 }), pushed, 0, 0},
		{"two pushes of one version, three names", large(func(p *Pushes) { p.Pushers, p.Names, p.Same, p.Retire = 2, 3, true, 2 }), pushed, 0, 0},
		{"two pushes of one version, two collections", large(func(p *Pushes) { p.Pushers, p.Epochs, p.Same, p.Retire, p.Judge = 2, 2, true, 2, true }), pushed, 0, 0},
		{"one push at two replicas, three names", large(func(p *Pushes) { p.Pushers, p.Names, p.Twin = 2, 3, true }), pushed, 0, 0},
		{"one push at two replicas, two collections", large(func(p *Pushes) { p.Pushers, p.Epochs, p.Twin = 2, 2, true }), pushed, 0, 0},
		{"G3 skips, two collectors, two pushes", large(func(p *Pushes) { p.Pushers, p.Collectors, p.Skip, p.Listing = 2, 2, true, true }), pushed, 0, 0},
		{"G3 skips, two collectors, three collections", large(func(p *Pushes) { p.Names, p.Collectors, p.Epochs, p.Skip, p.Listing = 3, 2, 3, true, true }), pushed, 0, 0},
		{"G3 skips, re-push", large(func(p *Pushes) { p.Collectors, p.Epochs, p.Skip, p.Repush, p.Cache = 2, 2, true, true, true }), pushed, 0, 0},
		{"re-push (M13), two pushes", large(func(p *Pushes) { p.Pushers, p.Repush, p.Cache = 2, true, true }), pushed, 0, 0},
		{"re-push (M13), two collectors", large(func(p *Pushes) { p.Names, p.Collectors, p.Epochs, p.Repush, p.Cache = 3, 2, 2, true, true }), pushed, 0, 0},
		{"re-push and deltas (M13, M14)", large(func(p *Pushes) { p.Names, p.Epochs, p.Repush, p.Cache, p.Deltas = 4, 2, true, true, true }), pushed, 0, 0},
		{"deltas (M14), two pushes", large(func(p *Pushes) { p.Pushers, p.Names, p.Deltas = 2, 3, true }), pushed, 0, 0},
		{"deltas (M14), two pushes, four names", large(func(p *Pushes) { p.Pushers, p.Names, p.Deltas, p.Finish = 2, 4, true, false }), pushed, 0, 0},
		{"deltas (M14), two collectors", large(func(p *Pushes) { p.Names, p.Collectors, p.Epochs, p.Deltas = 4, 2, 2, true }), pushed, 0, 0},
		{"bodies are objects, two collections", large(func(p *Pushes) { p.Names, p.Epochs, p.Bodies, p.Skip = 5, 2, true, true }), pushed, 0, 0},
		{"R, two collectors, a reader", large(func(p *Pushes) { p.Collectors, p.Moves, p.Reader = 2, 1, true }), pushed | moved, 0, 0},
		{"R, two collections", large(func(p *Pushes) { p.Epochs, p.Moves, p.Cache = 2, 1, true }), pushed | moved, 0, 0},
		{"R, two pushes", large(func(p *Pushes) { p.Pushers, p.Moves = 2, 1 }), pushed | moved, 0, 0},
		{"R twice, two collectors, a reader", large(func(p *Pushes) { p.Pushers, p.Collectors, p.Names, p.Epochs, p.Moves, p.Reader = 0, 2, 3, 2, 2, true }), moved | Followed, 0, 0},
		{"R, deltas, a push", large(func(p *Pushes) { p.Names, p.Moves, p.Deltas = 4, 1, true }), pushed | moved, 0, 0},
		{"R, deltas, re-push", large(func(p *Pushes) { p.Names, p.Moves, p.Deltas, p.Repush, p.Cache = 3, 1, true, true, true }), pushed | moved, 0, 0},
		{"R, G3 skips, two collectors", large(func(p *Pushes) { p.Collectors, p.Moves, p.Skip = 2, 1, true }), pushed | moved, 0, 0},
		{"R, bodies are objects, a push", large(func(p *Pushes) { p.Names, p.Moves, p.Bodies, p.Skip = 6, 1, true, true }), pushed | moved, 0, 0},
	}
}
