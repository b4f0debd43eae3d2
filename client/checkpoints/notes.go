package checkpoints

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
)

// notesFile is what trainers of transformers write beside the weights, and maxNotes
// how much of it is read.
const (
	notesFile = "trainer_state.json"
	maxNotes  = 64 << 20 // bytes
)

// read takes the step and the loss from the trainer's notes, if there are any.
func (c *Checkpoint) read() {
	name := filepath.Join(c.Path, notesFile)
	if info, err := os.Stat(name); err != nil || info.Size() > maxNotes {
		return
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return
	}
	var notes struct {
		Step *int64 `json:"global_step"`
		Log  []struct {
			Loss *float64 `json:"loss"`
		} `json:"log_history"`
	}
	if json.Unmarshal(b, &notes) != nil { // the notes of something else
		return
	}
	if c.Step == "" && notes.Step != nil && *notes.Step >= 0 {
		c.Step = strconv.FormatInt(*notes.Step, 10)
	}
	for _, entry := range notes.Log {
		if entry.Loss != nil {
			c.Loss = strconv.FormatFloat(*entry.Loss, 'g', -1, 64)
		}
	}
}
