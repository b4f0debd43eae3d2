package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/integration/measure"
)

// tunes pushes and pulls fine-tunes of one base, of which ever more values moved, in
// each type of element.
func (b *bench) tunes(ctx context.Context) error {
	fmt.Println("Fine-tunes, of the raw bytes; the processor's time of the client in a push, in raw MB a second of one core:")
	fmt.Println("\n| element | moved | stored | sent | received over the base | pushed, MB/s | × memcpy |\n|---|---|---|---|---|---|---|")
	for _, dtype := range []chunker.DType{chunker.BF16, chunker.F16, chunker.F32} {
		s := registry()
		if err := b.start(s); err != nil {
			return err
		}
		err := b.tunesOf(ctx, s, dtype)
		s.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", dtype, err)
		}
	}
	return nil
}

func (b *bench) tunesOf(ctx context.Context, s *store, dtype chunker.DType) error {
	spec := b.spec
	spec.DType = dtype
	base := filepath.Join(b.work, "models", "base")
	if err := errors.Join(os.RemoveAll(base), synth.Write(ctx, base, spec)); err != nil {
		return err
	}
	if _, _, err := s.push(ctx, base, "bench/model:base"); err != nil {
		return err
	}
	for _, share := range []int{1, 5, 20, 40, 70} {
		if err := b.tune(ctx, s, spec, share); err != nil {
			return fmt.Errorf("%d %%: %w", share, err)
		}
	}
	return nil
}

func (b *bench) tune(ctx context.Context, s *store, spec synth.Spec, share int) error {
	dir, pulled := filepath.Join(b.work, "models", "tune"), filepath.Join(b.work, "pulled")
	if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(pulled)); err != nil {
		return err
	}
	if err := synth.Write(ctx, dir, spec, synth.Train(uint64(share), float64(share)/100)); err != nil {
		return err
	}
	ref := fmt.Sprintf("tune-%d", share)
	pushed, used, err := s.push(ctx, dir, "bench/model:"+ref, "--base", "bench/model:base")
	if err != nil {
		return err
	}
	if _, err := s.get("base", pulled); err != nil {
		return err
	}
	out, err := s.get(ref, pulled)
	if err != nil {
		return err
	}
	want, err := sumOf(dir)
	if err != nil {
		return err
	}
	if err := same(pulled, want); err != nil {
		return err
	}
	var got receipt
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("ingot printed %q: %w", out, err)
	}
	raw := pushed.Total
	fmt.Printf("| %s | %d %% | %.4f | %.4f | %.4f | %.0f | %.1f |\n", spec.DType, share, pushed.Stored/raw, pushed.Sent/raw, got.Received/raw,
		raw/1e6/used.CPU.Seconds(), used.CPU.Seconds()/measure.Memcpy(int64(raw)).Seconds())
	return nil
}

// push runs ingot itself, to learn what the client uses.
func (s *store) push(ctx context.Context, dir, ref string, more ...string) (r receipt, used measure.Usage, err error) {
	cmd := exec.CommandContext(ctx, s.program, append([]string{"push", dir, ref, "--json"}, more...)...)
	cmd.Env = s.env
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if used, err = measure.Run(cmd); err != nil {
		return r, used, fmt.Errorf("push %s: %w\n%s", dir, err, said.Bytes())
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, used, fmt.Errorf("ingot printed %q: %w", out.Bytes(), err)
	}
	return r, used, nil
}
