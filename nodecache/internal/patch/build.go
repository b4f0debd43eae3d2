package patch

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// errNowhere reports a chunk that nothing can give any more.
var errNowhere = errors.New("it is not at hand any more")

// build returns the plain bytes of a chunk that comes, verified, in dst[:0]: from what
// is staged, with the base that it is a delta of, or else from the Source, or from
// elsewhere. enc is what it was made of, if that was staged.
func (s *Stage) build(ctx context.Context, c uint32, base, dst []byte) (plain, enc []byte, err error) {
	ref := s.Manifest.Chunks[c]
	s.mu.Lock()
	enc = s.staged[c]
	s.mu.Unlock()
	var errs []error
	if enc != nil {
		plain, err := decode(dst, enc, base)
		if err = verify(ref, plain, err); err == nil {
			return plain, enc, nil
		}
		if s.Wrong != nil {
			s.Wrong()
		}
		errs = append(errs, err)
	}
	if s.Source != nil && s.Source.Has(ref.Digest) {
		plain, err := s.Source.Read(ctx, ref, dst)
		if err = verify(ref, plain, err); err == nil {
			return plain, nil, nil
		}
		errs = append(errs, err)
	}
	if s.Whole != nil && ctx.Err() == nil {
		plain, err := s.Whole(ctx, c, dst)
		if err = verify(ref, plain, err); err == nil {
			return plain, nil, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		errs = append(errs, errNowhere)
	}
	return nil, nil, errors.Join(errs...)
}

// decode decodes an encoded chunk, whole or a delta of base.
func decode(dst, enc, base []byte) ([]byte, error) {
	name, err := codec.Base(enc)
	if err != nil {
		return nil, err
	}
	if name.IsZero() {
		return codec.Decode(dst, enc)
	}
	return codec.DecodeDelta(dst, enc, base, name)
}

// verify reports whether bytes are those of a chunk, unless err says what else is
// wrong.
func verify(ref chunker.Ref, plain []byte, err error) error {
	if err != nil {
		return err
	}
	if len(plain) != int(ref.Size) || chunker.Sum(plain) != ref.Digest {
		return fmt.Errorf("chunk %s: %w", ref.Digest.Short(), ErrWrong)
	}
	return nil
}
