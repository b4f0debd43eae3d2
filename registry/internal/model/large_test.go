package model

// largeSystems are walked through by "make models" only: it takes minutes, and
// gigabytes.
func largeSystems() []safe {
	return []safe{
		{"two pushes, two collectors, two collections", push1(func(p *Pushes) { p.Pushers, p.Collectors, p.Epochs = 2, 2, 2 }), pushed, 11_880_710, 42},
		{"two pushes, two collectors, three names", push1(func(p *Pushes) { p.Pushers, p.Collectors, p.Names = 2, 2, 3 }), pushed, 5_188_888, 33},
		{"two pushes, two collections, three names", push1(func(p *Pushes) { p.Pushers, p.Epochs, p.Names = 2, 2, 3 }), pushed, 18_824_389, 40},
		{"two collectors, three collections", push1(func(p *Pushes) { p.Names, p.Collectors, p.Epochs = 3, 2, 3 }), pushed, 1_589_098, 36},
		{"a push that begins again twice, from memory, two collectors", push1(func(p *Pushes) { p.Names, p.Collectors, p.Epochs, p.Retry, p.Judge = 3, 2, 3, 2, true }), pushed, 5_460_983, 41},
		{"two pushes of one version, two collectors, two collections", push1(func(p *Pushes) { p.Pushers, p.Collectors, p.Epochs, p.Same, p.Retire = 2, 2, 2, true, 2 }), pushed, 7_664_618, 41},
		{"two pushes of one version, three names", push1(func(p *Pushes) { p.Pushers, p.Names, p.Same, p.Retire = 2, 3, true, 2 }), pushed, 568_350, 37},
		{"two pushes of one version, from memory", push1(func(p *Pushes) { p.Pushers, p.Epochs, p.Same, p.Retire, p.Judge = 2, 2, true, 2, true }), pushed, 8_539_164, 44},
		{"one push at two replicas, two collections", push1(func(p *Pushes) { p.Pushers, p.Epochs, p.Names, p.Twin = 2, 2, 3, true }), pushed, 7_289_298, 34},
		{"G3 skips unchanged heads, two collectors, two pushes", push1(func(p *Pushes) { p.Pushers, p.Collectors, p.Skip, p.Listing = 2, 2, true, true }), pushed, 3_600_913, 35},
		{"G3 skips unchanged heads, two collectors, three collections", push1(func(p *Pushes) { p.Names, p.Collectors, p.Epochs, p.Skip, p.Listing = 3, 2, 3, true, true }), pushed, 1_664_313, 47},
		{"G3 skips unchanged heads, two pushes of one version", push1(func(p *Pushes) { p.Pushers, p.Collectors, p.Same, p.Retire, p.Skip = 2, 2, true, 2, true }), pushed, 785_245, 35},
		{"G3 skips unchanged heads, re-push", push1(func(p *Pushes) { p.Collectors, p.Epochs, p.Skip, p.Repush = 2, 2, true, true }), pushed, 500_008, 40},
		{"re-push (M13), two pushes", push1(func(p *Pushes) { p.Pushers, p.Repush, p.Cache = 2, true, true }), pushed, 2_828_216, 47},
		{"re-push (M13), two collectors", push1(func(p *Pushes) { p.Names, p.Collectors, p.Epochs, p.Repush, p.Cache = 3, 2, 2, true, true }), pushed, 1_743_491, 42},
		{"re-push and deltas (M13, M14)", push1(func(p *Pushes) { p.Names, p.Epochs, p.Repush, p.Cache, p.Deltas = 4, 2, true, true, true }), pushed, 19_430_157, 43},
		{"deltas (M14), two pushes", push1(func(p *Pushes) { p.Pushers, p.Names, p.Deltas = 2, 3, true }), pushed, 1_024_213, 32},
		{"deltas (M14), two pushes, four names", push1(func(p *Pushes) { p.Pushers, p.Names, p.Deltas, p.Finish = 2, 4, true, false }), pushed, 4_254_725, 30},
		{"deltas (M14), two collectors", push1(func(p *Pushes) { p.Names, p.Collectors, p.Epochs, p.Deltas = 4, 2, 2, true }), pushed, 15_594_160, 32},
		{"bodies are objects, two collections", push1(func(p *Pushes) { p.Names, p.Epochs, p.Bodies, p.Skip = 5, 2, true, true }), pushed, 721_923, 38},
		{"R, two collectors, two collections", push1(func(p *Pushes) { p.Collectors, p.Epochs, p.Moves = 2, 2, 1 }), pushed | moved, 1_618_869, 34},
		{"R, two collectors, a reader", push1(func(p *Pushes) { p.Collectors, p.Moves, p.Reader = 2, 1, true }), pushed | moved | Followed, 500_349, 30},
		{"R twice, two collections, three names", push1(func(p *Pushes) { p.Names, p.Epochs, p.Moves = 3, 2, 2 }), pushed | moved, 18_071_771, 41},
		{"R, two pushes", push1(func(p *Pushes) { p.Pushers, p.Moves = 2, 1 }), pushed | moved, 3_789_339, 37},
		{"R twice, two collectors, a reader", push1(func(p *Pushes) { p.Pushers, p.Collectors, p.Names, p.Epochs, p.Moves, p.Reader = 0, 2, 3, 2, 2, true }), moved | Followed, 345_879, 33},
		{"R, deltas, a push, four names", push1(func(p *Pushes) { p.Names, p.Moves, p.Deltas = 4, 1, true }), pushed | moved, 3_887_963, 30},
		{"R, deltas, re-push", push1(func(p *Pushes) { p.Names, p.Moves, p.Deltas, p.Repush, p.Cache = 3, 1, true, true, true }), pushed | moved, 1_394_566, 41},
		{"R, G3 skips unchanged heads, two collectors", push1(func(p *Pushes) { p.Collectors, p.Moves, p.Skip = 2, 1, true }), pushed | moved, 239_047, 29},
		{"R, bodies are objects, a push", push1(func(p *Pushes) { p.Names, p.Moves, p.Bodies, p.Skip = 6, 1, true, true }), pushed | moved, 864_900, 32},
	}
}
