package main

// The packages of the GPU tier.
const (
	gpu   = "nodecache/internal/gpu/"
	mover = "nodecache/internal/mover/"
	ram   = "nodecache/internal/ram/"
)

// onGPU is caught by a test of package gpu, whose world looks at every byte.
func onGPU(name, test string, edits ...edit) mistake {
	return mistake{name: name, edits: edits, pkg: "nodecache/internal/gpu", test: test}
}

// gpuMistakes are ways to show wrong bytes on a GPU, to force somebody, or to lose
// memory there.
var gpuMistakes = []mistake{
	onGPU("gpu-in-place-into-shared", "TestSwapSharedSlab", edit{
		gpu + "inplace.go", `case len(old.images) == 1 && uses[old] == 1`, `case uses[old] == 1`,
	}),
	onGPU("gpu-no-rollback", "TestSwapRollsBack", edit{
		gpu + "inplace.go", "		err = p.restore(ctx, held)\n", "",
	}),
	onGPU("gpu-swap-without-pause", "TestSwapWithoutAnswer", edit{
		gpu + "pause.go", `if !d.answers(ctx, p, within) {`, `if within < 0 {`,
	}),
	onGPU("gpu-gaps-keep-what-was-there", "TestAnything", edit{
		gpu + "script.go", `to.add(mover.Copy{Slab: s.id, Offset: at, Length: length, From: mover.FromZero})`, `_, _ = at, length`,
	}),
	onGPU("gpu-old-name-after-swap", "TestAnything", edit{
		gpu + "inplace.go", "		d.become(s, p.layout.slabs[i])\n", "		_, _ = s, i\n",
	}),
	onGPU("gpu-memory-is-not-released", "TestAnything", edit{
		gpu + "image.go", `err := d.config.Memory.Release(s.handle); err != nil`, `err := error(nil); err != nil`,
	}),
	onGPU("gpu-forces-who-does-not-yield", "TestNobodyIsForced", edit{
		gpu + "room.go", `if !l.terms.Yield || l.stubborn {`, `if l.stubborn {`,
	}),
	{
		name:  "ram-punched-while-pinned",
		edits: []edit{{ram + "pin.go", "		t.pinner.Unpin(g.piece(p))\n", ""}},
		pkg:   "nodecache/internal/ram", test: "TestPinTogether",
	},
	{
		name: "mover-answers-too-early",
		edits: []edit{{mover + "engine.go", `if idle := e.bound.Synchronize(e.device.stream); idle != nil {`,
			`if idle := error(nil); idle != nil {`}},
		pkg: "nodecache/internal/mover", test: "TestCopyFake",
	},
	{
		name:  "mover-copies-across-pins",
		edits: []edit{{mover + "engine.go", `return min(length, p.to-offset), true`, `return length, true`}, {mover + "engine.go", `if p == nil || p.to < c.At+n || d.segments`, `if p == nil || d.segments`}},
		pkg:   "nodecache/internal/mover", test: "TestCopyFake",
	},
	{
		name:  "mover-reads-beyond-a-segment",
		edits: []edit{{mover + "engine.go", `if g == nil || !within(c.At, c.Length, int64(len(g.data))) {`, `if g == nil {`}},
		pkg:   "nodecache/internal/mover", test: "TestBoundsFake",
	},
	{
		name:  "lease-detached-unasked",
		edits: []edit{{"nodecache/internal/nodeapi/gpu.go", "	if own {\n		return nil\n	}\n", ""}},
		pkg:   "nodecache/internal/nodeapi", test: "TestGPUExportFails",
	},
}
