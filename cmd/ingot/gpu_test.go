package main

import (
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

const someGPU = "GPU-6f1a2b3c-4d5e-6f70-8192-a3b4c5d6e7f8"

// TestGPURequests: what commands ask an agent for.
func TestGPURequests(t *testing.T) {
	n := newFakeNode(t, func(string) (any, *openapi.Error) { return struct{}{}, nil })
	for args, want := range map[string]string{
		"load acme/x --tier gpu --device " + someGPU:                                `POST /v1/load {"ref":"acme/x:main","tier":"gpu","device":"` + someGPU + `"}`,
		"load acme/x --tier gpu --hint":                                             `POST /v1/load {"ref":"acme/x:main","tier":"gpu","hint":true}`,
		"swap acme/x acme/y:z":                                                      `POST /v1/swap {"from":"acme/x:main","to":"acme/y:z"}`,
		"swap acme/x acme/x:y --device " + strings.ToLower(someGPU[4:]):             `POST /v1/swap {"from":"acme/x:main","to":"acme/x:y","device":"` + someGPU + `"}`,
		"swap acme/x acme/y --wait 1m30s --priority -2 --device=mig-" + someGPU[4:]: `POST /v1/swap {"from":"acme/x:main","to":"acme/y:main","device":"` + someGPU + `","deadline":90,"priority":-2}`,
		"unload acme/x --to ram":                                                    `POST /v1/unload {"ref":"acme/x:main","tier":"ram"}`,
	} {
		got := n.ask(t.Context(), strings.Fields(args)...)
		if asked := <-n.asked; got.code != exitDone || asked != want {
			t.Errorf("%s: %+v, asked %s, want %s", args, got, asked, want)
		}
	}
	for args, says := range map[string]string{
		"swap acme/x":                            "swap",
		"swap acme/x ../y":                       "../y",
		"swap acme/x acme/y --device cuda:0":     `--device "cuda:0": want a GPU's UUID as "ingot status"`,
		"swap acme/x acme/y --wait -1s":          "--wait -1s: want a duration",
		"load acme/x --device " + someGPU:        "--device and --hint go with --tier gpu",
		"load acme/x --tier disk --hint":         "--device and --hint go with --tier gpu",
		"load acme/x --tier gpu --device GPU-12": "want a GPU's UUID",
		"unload acme/x --to gpu":                 "want none, disk or ram",
	} {
		got := n.ask(t.Context(), strings.Fields(args)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, says) || strings.Count(got.stderr, "\n") != 1 || len(n.asked) > 0 {
			t.Errorf("%s: %+v, want %q", args, got, says)
		}
	}
}

// TestGPUFailures: exit codes, and what to do.
func TestGPUFailures(t *testing.T) {
	var wrong *openapi.Error
	n := newFakeNode(t, func(string) (any, *openapi.Error) { return nil, wrong })
	for _, tc := range []struct {
		code openapi.Code
		exit int
		says string
	}{
		{openapi.CodeBadRequest, exitFailed, "choose one with --device"},
		{openapi.CodeNotFound, exitNotFound, "failed: as told"},
		{openapi.CodeConflict, exitConflict, "failed: as told"},
		{openapi.CodeTooLarge, exitInput, "with --gpu"},
		{openapi.CodeBusy, exitUnreachable, `or look at "ingot status"`},
		{openapi.CodeUnavailable, exitUnreachable, "shows how the GPUs are"},
		{openapi.CodeNoSpace, exitNoSpace, "with --disk or --ram"},
		{openapi.CodeInternal, exitUnreachable, "its log tells more"},
	} {
		wrong = openapi.Errorf(tc.code, "failed: as told")
		for _, args := range []string{"swap acme/x acme/y", "load acme/x --tier gpu"} {
			got := n.ask(t.Context(), strings.Fields(args)...)
			if got.code != tc.exit || got.stdout != "" || !strings.Contains(got.stderr, tc.says) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("%s: %s: %+v, want %d and %q", args, tc.code, got, tc.exit, tc.says)
			}
		}
	}
}

// someSwap is the receipt of a swap.
func someSwap() openapi.SwapReceipt {
	return openapi.SwapReceipt{
		From: "acme/x:main", To: "acme/x:tuned", FromVersion: digestOf(0xbb).String(), Version: digestOf(0xaa), Device: someGPU,
		Kind: openapi.SwapInPlace, BytesTotal: 100 << 20, BytesUploaded: 5 << 20, BytesDeviceCopied: 15 << 20, BytesReused: 80 << 20,
		Copies: 3, SlabsTotal: 4, Leases: 2, QueuedMS: 0.25, PausedMS: 3.14, TotalMS: 4,
	}
}

const shownSwap = `swapped acme/x:main for acme/x:tuned  aaaaaaaaaaaa  on ` + someGPU + `
over the version before, 2 leases moved, paused 3.1 ms, waited 0.2 ms, 4.0 ms in all

ON THE GPU       BYTES
uploaded      5.00 MiB   5.0 %
copied there  15.0 MiB  15.0 %
in place      80.0 MiB  80.0 %
`

const shownLoad = `loaded acme/x:main  aaaaaaaaaaaa  into gpu
3.00 MiB in 3 chunks, 0 new: received 0 B, found 3.00 MiB here, 1.50 s

FROM     BYTES
ram   3.00 MiB

onto ` + someGPU + `: beside what was there, 4.0 ms in all

ON THE GPU       BYTES
uploaded      5.00 MiB   5.0 %
copied there  15.0 MiB  15.0 %
in place      80.0 MiB  80.0 %
`

// TestGPUReceipts: what swaps and loads say.
func TestGPUReceipts(t *testing.T) {
	onGPU := someSwap()
	onGPU.Kind, onGPU.Leases, onGPU.QueuedMS = openapi.SwapLoad, 0, 0
	n := newFakeNode(t, func(path string) (any, *openapi.Error) {
		switch path {
		case "/v1/swap":
			return someSwap(), nil
		case "/v1/unload":
			r := openapi.UnloadReceipt{Ref: "acme/x:main", Version: digestOf(0xaa), Tier: openapi.TierRAM}
			r.Freed.GPU = 1 << 20
			return r, nil
		}
		return openapi.LoadReceipt{
			Ref: "acme/x:main", Version: digestOf(0xaa), Tier: openapi.TierGPU, BytesTotal: 3 << 20, BytesReused: 3 << 20, ChunksTotal: 3,
			Sources: openapi.Sources{RAM: 3 << 20}, Seconds: 1.5, GPU: &onGPU,
		}, nil
	})
	for args, want := range map[string]string{
		"swap acme/x acme/x:tuned":      shownSwap,
		"load acme/x --tier gpu":        shownLoad,
		"load acme/x --tier gpu --hint": "acme/x:main  aaaaaaaaaaaa  comes onto a GPU when there is room\n",
		"unload acme/x --to ram":        "acme/x:main  aaaaaaaaaaaa  is in memory now: freed 1.00 MiB of GPUs, 0 B of memory, 0 B of disk\n",
	} {
		if got := n.ask(t.Context(), strings.Fields(args)...); got.stdout != want || got.code != exitDone {
			t.Errorf("%s: %+v, want\n%s", args, got, want)
		}
	}
	got := n.ask(t.Context(), "swap", "acme/x", "acme/x:tuned", "--json")
	for _, part := range []string{`"kind":"in_place"`, `"bytes_uploaded":5242880`, `"paused_ms":3.14`, `"from_version":"bbbb`} {
		if !strings.Contains(strings.ReplaceAll(got.stdout, ": ", ":"), part) {
			t.Errorf("no %s in %s", part, got.stdout)
		}
	}
}

const shownGPUs = `gpu1, ingot v1, started -
no registry: it serves what it has

TIER      USED    BUDGET         MODELS
gpu   1.00 GiB  60.0 GiB  1.7 %       1

GPU                                       NAME             USED    BUDGET            FREE  MODELS  STATE   LINK
GPU-6f1a2b3c-4d5e-6f70-8192-a3b4c5d6e7f8  NVIDIA H200  1.00 GiB  60.0 GiB  1.7 %  100 GiB       1  ready   PCIe 5 x16  2 waiting, 3.00 GiB of memory pinned, 2 clients
GPU-b                                     NVIDIA H200       0 B       0 B      -      0 B       0  failed  -           MIG, driven anew 3 times, fell off the bus

MODEL        VERSION       TIER  STATE       OWN  SHARED  LEASES  LAST USE
acme/a:main  aaaaaaaaaaaa  gpu   ready  1.00 GiB     0 B       1  -         on ` + someGPU + `
`

// TestStatusOfGPUs: what is on them, or why nothing is.
func TestStatusOfGPUs(t *testing.T) {
	s := openapi.NodeStatus{
		Name: "gpu1", Program: "v1",
		Tiers: openapi.TierUsages{GPU: openapi.GPUUsage{
			TierUsage: openapi.TierUsage{Used: 1 << 30, Budget: 60 << 30, Models: 1}, State: openapi.GPUReady,
			Devices: []openapi.GPUDevice{
				{
					UUID: someGPU, Name: "NVIDIA H200", Used: 1 << 30, Budget: 60 << 30, Models: 1, Free: 100 << 30, State: openapi.DeviceReady,
					Pinned: 3 << 30, Waiting: 2, PCIeGeneration: 5, PCIeWidth: 16, Processes: 2,
				},
				{UUID: "GPU-b", Name: "NVIDIA H200", State: openapi.DeviceFailed, Message: "fell off\nthe bus", Restarts: 3, MIG: true},
			},
		}},
		Models: []openapi.ModelStatus{{
			Ref: "acme/a:main", Version: digestOf(0xaa).String(), Tier: openapi.TierGPU, Want: openapi.TierGPU, State: openapi.ModelReady,
			BytesOwn: 1 << 30, Leases: 1, Devices: []string{someGPU},
		}},
	}
	n := newFakeNode(t, func(string) (any, *openapi.Error) { return s, nil })
	if got := n.ask(t.Context(), "status"); got.stdout != shownGPUs {
		t.Errorf("%+v\nwant\n%s", got, shownGPUs)
	}
	for state, says := range map[string]string{
		openapi.GPUOff:       "no GPU: the agent was not told to use one, by --gpu: why not",
		openapi.GPUNoLibrary: "no GPU: the driver's library, libcuda, is not on the machine: why not",
		openapi.GPUNoDriver:  "no GPU: its driver does not work: why not",
		openapi.GPUNoDevice:  "no GPU: the driver shows none that the agent was told to use: why not",
	} {
		s.Tiers.GPU = openapi.GPUUsage{State: state, Message: "why\nnot"}
		if got := n.ask(t.Context(), "status"); !strings.Contains(got.stdout, "\n"+says+"\n") {
			t.Errorf("%s: %+v, want %q", state, got, says)
		}
	}
}

// TestCompleteOfAgent: GPUs, and what is on them.
func TestCompleteOfAgent(t *testing.T) {
	s := openapi.NodeStatus{
		Tiers: openapi.TierUsages{GPU: openapi.GPUUsage{Devices: []openapi.GPUDevice{
			{UUID: someGPU, Name: "NVIDIA H200", Used: 1 << 30, Budget: 4 << 30}, {UUID: "MIG-b", Name: "slice"},
		}}},
		Models: []openapi.ModelStatus{{Ref: "acme/a:main", Devices: []string{someGPU}}, {Ref: "acme/b:main", Tier: openapi.TierRAM}},
	}
	n := newFakeNode(t, func(string) (any, *openapi.Error) { return s, nil })
	for args, want := range map[string]string{
		"swap acme/a acme/b --device ":         someGPU + "\tNVIDIA H200, 3.00 GiB of 4.00 GiB left\nMIG-b\tslice, 0 B of 0 B left\n:4\n",
		"load acme/a --tier gpu --device MIG-": "MIG-b\tslice, 0 B of 0 B left\n:4\n",
		"swap acme/":                           "acme/a:main\ton " + someGPU + "\n:4\n",
	} {
		got := n.ask(t.Context(), append([]string{"__complete"}, strings.Split(args, " ")...)...)
		if got.stdout != want {
			t.Errorf("%s: %q, want %q", args, got.stdout, want)
		}
	}
	n.server.Close()
	if got := n.ask(t.Context(), "__complete", "swap", ""); got.stdout != ":4\n" {
		t.Errorf("without an agent: %q", got.stdout)
	}
}
