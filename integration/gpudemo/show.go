package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/openapi"
)

// event is what a service says, a line of JSON.
type event struct {
	Who     string  `json:"who"`
	At      float64 `json:"at"`
	What    string  `json:"what"`
	Turn    int     `json:"turn"`
	Version string  `json:"version"`
	Waited  float64 `json:"waited"`
	Worked  float64 `json:"worked"`
	Answer  float64 `json:"answer"`
	Pauses  int     `json:"pauses"`
}

// line is a line of the table.
type line struct {
	at        time.Time
	who, what string
}

// table is what happens, as it happens.
type table struct {
	mu    sync.Mutex
	began time.Time
	ended map[string]int
	turns map[string][]event
}

func (t *table) add(l line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Printf("%7.2f  %-8s %s\n", l.at.Sub(t.began).Seconds(), l.who, l.what)
}

// show has both services run and prints what happens.
func (d *demo) show(ctx context.Context, n *node) error {
	if err := d.prepare(ctx, n); err != nil {
		return err
	}
	t := &table{began: time.Now(), turns: map[string][]event{}, ended: map[string]int{}}
	fmt.Printf("\n%7s  %-8s %s\n", "s", "who", "what")
	heard, deaf := context.WithCancel(ctx)
	defer deaf()
	go t.events(heard, n)
	var services sync.WaitGroup
	var errs [2]error
	for i, s := range [][2]string{{"chat", chat}, {"code", code}} {
		services.Go(func() { errs[i] = d.service(ctx, t, n, s[0], s[1]) })
	}
	services.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	deaf()
	if err := d.swapped(ctx, n); err != nil {
		return err
	}
	return t.judge(d.turns)
}

// prepare brings both models into memory.
func (d *demo) prepare(ctx context.Context, n *node) error {
	for _, ref := range []string{chat, chatTwo, code} {
		got, err := n.Load(ctx, openapi.LoadRequest{Ref: ref, Tier: openapi.TierRAM})
		if err != nil {
			return err
		}
		fmt.Printf("in memory: %-13s %5.1f MiB, %5.1f MiB of them from the registry\n", ref, mib(got.BytesTotal), mib(got.Sources.Registry))
	}
	s, err := n.Status(ctx)
	if err != nil {
		return err
	}
	gpu := s.Tiers.GPU
	if gpu.State != openapi.GPUReady {
		return fmt.Errorf("the agent's GPU is %s: %s", gpu.State, gpu.Message)
	}
	fmt.Printf("on the GPU: room for %.0f MiB, which is one model\n", mib(gpu.Devices[0].Budget))
	return nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// events prints what the agent says happens on the GPU.
func (t *table) events(ctx context.Context, n *node) {
	list, err := n.Events(ctx)
	if err != nil {
		return // the services say what is wrong
	}
	for e, err := range list {
		if err != nil {
			return
		}
		if e.Tier != openapi.TierGPU && e.Device == "" {
			continue
		}
		if slices.Contains([]string{openapi.EventLoaded, openapi.EventPaused, openapi.EventSwapped, openapi.EventDropped, openapi.EventGPU}, e.Type) {
			what := fmt.Sprintf("%-8s %s", e.Type, e.Ref)
			if e.Type == openapi.EventLoaded {
				what += fmt.Sprintf(", %.1f MiB", mib(e.Bytes))
			}
			if e.Message != "" {
				what += ": " + e.Message
			}
			t.add(line{e.Time, "agent", what})
		}
	}
}

// service runs one of the services and prints what it says.
func (d *demo) service(ctx context.Context, t *table, n *node, name, ref string) error {
	cmd := exec.CommandContext(ctx, d.python, "integration/gpudemo/service.py", name, n.socket, ref, d.uuid, strconv.Itoa(d.turns), "0.25")
	cmd.Env, cmd.Stderr = d.env, os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("service %s says %q: %w", name, lines.Text(), err)
		}
		t.heard(e)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}
	return nil
}

// heard prints what a service says.
func (t *table) heard(e event) {
	at := time.UnixMicro(int64(e.At * 1e6))
	switch e.What {
	case "attached":
		t.add(line{at, e.Who, fmt.Sprintf("has its model, after %.0f ms", e.Waited*1000)})
	case "answered":
		t.add(line{at, e.Who, fmt.Sprintf("answer %d: %9.6f, after %.0f ms of waiting and %.0f of work", e.Turn, e.Answer, e.Waited*1000, e.Worked*1000)})
	case "ended":
		t.add(line{at, e.Who, fmt.Sprintf("ends; it was asked to pause %d times", e.Pauses)})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turns[e.Who] = append(t.turns[e.Who], e)
	if e.What == "ended" {
		t.ended[e.Who] = e.Pauses
	}
}

// swapped swaps a model for its variant and back while nobody has another, and
// prints the receipts.
func (d *demo) swapped(ctx context.Context, n *node) error {
	first, err := n.Load(ctx, openapi.LoadRequest{Ref: chat, Tier: openapi.TierGPU, Device: d.uuid})
	if err != nil {
		return err
	}
	if first.GPU == nil {
		return errors.New("a load onto the GPU without a receipt of it")
	}
	fmt.Printf("\n%-28s %-9s %10s %10s %10s %8s\n", "receipt of", "kind", "up MiB", "within", "reused", "ms")
	d.receipt("load "+chat, *first.GPU)
	for _, s := range [][2]string{{chat, chatTwo}, {chatTwo, chat}, {chat, code}} {
		r, err := n.Swap(ctx, openapi.SwapRequest{From: s[0], To: s[1], Device: d.uuid})
		if err != nil {
			return err
		}
		d.receipt(s[0]+" to "+s[1][5:], r)
	}
	return nil
}

func (d *demo) receipt(what string, r openapi.SwapReceipt) {
	fmt.Printf("%-28s %-9s %10.1f %10.1f %10.1f %8.1f\n", what, r.Kind, mib(r.BytesUploaded), mib(r.BytesDeviceCopied), mib(r.BytesReused), r.TotalMS)
}

// judge wants both services to have had their turns, and the same answers every time
// they were asked the same.
func (t *table) judge(turns int) error {
	for _, who := range []string{"chat", "code"} {
		answers := 0
		for _, e := range t.turns[who] {
			if e.What == "answered" {
				answers++
			}
		}
		if answers != turns {
			return fmt.Errorf("service %s answered %d times, want %d", who, answers, turns)
		}
	}
	if t.ended["chat"]+t.ended["code"] == 0 {
		return errors.New("neither was asked to pause: they did not share anything")
	}
	return nil
}
