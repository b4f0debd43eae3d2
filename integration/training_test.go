package integration_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
)

// training is a model whose values move on from one checkpoint to the next: each time
// a share of them, drawn anew, to the value above or below. It costs what moves, so
// that a test can afford many checkpoints under the race detector.
type training struct {
	rand *rand.Rand
	dir  string // of the checkpoints
	file []byte // safetensors
	data int    // where the values start
	step int
}

// trained has tensors of their own and such as share a chunk: 2.6 MiB of BF16.
var trained = synth.Spec{Layers: 1, Hidden: 256, KV: 128, FF: 768, Vocab: 1024, DType: chunker.BF16}

const trainedFile = "model.safetensors"

// train starts a training, from a model of its own.
func train(t *testing.T, seed uint64) *training {
	t.Helper()
	spec := trained
	spec.Seed = seed
	file, err := os.ReadFile(filepath.Join(weightsOf(t, spec), trainedFile))
	if err != nil {
		t.Fatal(err)
	}
	return &training{
		rand: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), file: file,
		data: 8 + int(binary.LittleEndian.Uint64(file)),
	}
}

// move goes on to the next step.
func (tr *training) move(share float64) {
	values := (len(tr.file) - tr.data) / 2
	moved := make([]bool, values)
	for left := int(share * float64(values)); left > 0; {
		i := tr.rand.IntN(values)
		if moved[i] {
			continue
		}
		moved[i] = true
		left--
		b := tr.file[tr.data+2*i:]
		// One step of a magnitude up or down, and none through zero.
		v := binary.LittleEndian.Uint16(b)
		if v&0x7fff == 0 || tr.rand.IntN(2) == 0 {
			v++
		} else {
			v--
		}
		binary.LittleEndian.PutUint16(b, v)
	}
	tr.step++
}

// write writes a checkpoint to a folder of its own, which it returns, and removes the
// one before the last.
func (tr *training) write() (string, error) {
	dir := filepath.Join(tr.dir, fmt.Sprint("step-", tr.step))
	if err := os.Mkdir(dir, 0o777); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, trainedFile), tr.file, 0o666); err != nil {
		return "", err
	}
	return dir, os.RemoveAll(filepath.Join(tr.dir, fmt.Sprint("step-", tr.step-2)))
}

// checkpoint is write for a test's own goroutine.
func (tr *training) checkpoint(t *testing.T) string {
	t.Helper()
	dir, err := tr.write()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sum names what the model holds now.
func (tr *training) sum() [sha256.Size]byte { return sha256.Sum256(tr.file) }
