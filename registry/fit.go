package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/doctor"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

// fitFor is how long it is taken for granted that a store has stayed as it was. A
// clock that is wrong costs an examination, or saves one.
const fitFor = 7 * 24 * time.Hour

// fitness is the register d/<hash of the address>: the store was found fit for
// several replicas by way of that address. An examination is a thousand requests and
// more, which a replica that starts, perhaps because the store is slow, should not
// make each time.
type fitness struct {
	record.Stamp
	Address string    `json:"address"`
	Program string    `json:"program"` // its version
	At      time.Time `json:"at"`
}

func (f *fitness) key() string {
	return "d/" + chunker.Sum([]byte(f.Address)).String()
}

// known reports whether such a program has found the store fit lately. Whatever
// stands in the way of knowing it is met again by the examination.
func (f *fitness) known(ctx context.Context, space *s3.Space) bool {
	var was fitness
	_, err := record.Book{Registers: space.Registers(), Rand: rand.Reader}.Load(ctx, f.key(), &was)
	age := time.Since(was.At)
	return err == nil && was.Address == f.Address && was.Program == f.Program && age >= 0 && age < fitFor
}

// note writes down that the store is fit. Without it the next replica examines the
// store as well.
func (f *fitness) note(ctx context.Context, space *s3.Space, logger *slog.Logger) {
	book := record.Book{Registers: space.Registers(), Rand: rand.Reader}
	was := fitness{}
	at, err := book.Load(ctx, f.key(), &was)
	if err == nil {
		f.Stamp, f.At = was.Stamp, time.Now().UTC()
		_, err = book.Swap(ctx, f.key(), at, f)
	}
	if err != nil && !errors.Is(err, registers.ErrConflict) {
		logger.WarnContext(ctx, "what was found out about the store is not kept: the next replica examines it again", "error", err)
	}
}

// probe returns nil if the store has what several replicas need. It looks through two
// clients, with connections of their own.
func probe(ctx context.Context, space *s3.Space, opts s3.Options) (err error) {
	second, err := s3.Dial(ctx, space.Location(), opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, second.Close()) }()
	scratch, clear, err := space.Scratch(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clear(context.WithoutCancel(ctx))) }()
	other := scratch.Through(second)
	findings, err := doctor.Examine(ctx, doctor.Store{
		Registers: []registers.Engine{scratch.Registers(), other.Registers()},
		Blobs:     []blobs.Store{scratch.Blobs(), other.Blobs()},
		Sweeper:   scratch.Blobs(),
		Now:       time.Now,
		Rand:      rand.Reader,
	}, doctor.Quick, nil)
	if err != nil {
		return err
	}
	return doctor.Unfit(findings)
}
