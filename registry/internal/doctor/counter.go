package doctor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// testReadAtomic has all writers add to a counter, each over what it reads while
// others write. Who reads an old value with a new version writes over the one that
// it has not seen, and that addition is lost.
func testReadAtomic(ctx context.Context, b *bench) (verdict, error) {
	c, err := b.countTogether(ctx)
	if err != nil {
		return verdict{}, err
	}
	val, _, err := b.engine(0).Get(ctx, c.key)
	if err != nil {
		return verdict{}, err
	}
	return c.verdict(string(val))
}

// countTogether has all writers add to one number as fast as they can.
func (b *bench) countTogether(ctx context.Context) (*counter, error) {
	c := &counter{bench: b, key: b.key("counter"), wrote: map[registers.Version]string{}, over: map[registers.Version]int{}}
	version, err := registers.Settle(ctx, b.engine(0), c.key, registers.Absent, []byte("0 start"))
	if err != nil {
		return nil, err
	}
	c.wrote[version] = "0 start"
	return c, together(b.writers, func(i int) error { return c.add(ctx, i) })
}

// twice returns how many versions were written over by more than one writer who was
// acknowledged. All writers have ended.
func (c *counter) twice() int {
	n := 0
	for _, times := range c.over {
		if times > 1 {
			n++
		}
	}
	return n
}

// counter is what is known of a number that many add to.
type counter struct {
	*bench
	key string

	mu           sync.Mutex // protects the fields below
	wrote        map[registers.Version]string
	over         map[registers.Version]int // acknowledged writes over it
	reads        []reading
	acknowledged int
	unknown      int
}

// reading is what one Get returned.
type reading struct {
	version registers.Version
	val     string
}

// add makes the additions of one writer.
func (c *counter) add(ctx context.Context, i int) error {
	for done := 0; done < c.additions; {
		val, version, err := c.engine(i).Get(ctx, c.key)
		if err != nil {
			return err
		}
		c.read(reading{version, string(val)})
		n, err := number(string(val))
		if err != nil {
			return err
		}
		nonce, err := c.nonce()
		if err != nil {
			return err
		}
		next := fmt.Sprintf("%d %s", n+1, nonce)
		now, err := c.engine(i).CAS(ctx, c.key, version, []byte(next))
		if errors.Is(err, registers.ErrConflict) {
			continue
		}
		if err := c.written(version, now, next, err); err != nil {
			return err
		}
		done++
	}
	return nil
}

func (c *counter) read(r reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads = append(c.reads, r)
}

// written counts a write that was not refused, and returns an error that says
// nothing of it.
func (c *counter) written(over, version registers.Version, val string, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.acknowledged++
		c.wrote[version] = val
		c.over[over]++
	case errors.Is(err, registers.ErrUnknown):
		c.unknown++
	default:
		return err
	}
	return nil
}

// verdict compares what was read and what the counter says now with what was
// written. All writers have ended.
func (c *counter) verdict(last string) (verdict, error) {
	sum, err := number(last)
	if err != nil {
		return verdict{}, err
	}
	older, newer := 0, 0
	for _, r := range c.reads {
		wrote, known := c.wrote[r.version] // not that of a lost answer
		if !known || wrote == r.val {
			continue
		}
		was, err := number(wrote)
		if err != nil {
			return verdict{}, err
		}
		if is, err := number(r.val); err != nil {
			return verdict{}, err
		} else if is > was {
			newer++
		} else {
			older++
		}
	}
	switch {
	case sum < c.acknowledged || sum > c.acknowledged+c.unknown:
		return lacks("%d additions to a counter were acknowledged and it says %d; %d of %d reads gave an old value the version of a newer one",
			c.acknowledged, sum, older, len(c.reads))
	case older > 0:
		return lacks("%d of %d reads during writes gave an old value the version of a newer one", older, len(c.reads))
	case newer > 0:
		return warns("%d of %d reads during writes gave a value the version of an older one, which costs a retry", newer, len(c.reads))
	}
	return seen("a counter is exact after %d additions, %d reads between them were whole", c.acknowledged, len(c.reads))
}

// number reads what a counter holds.
func number(val string) (int, error) {
	digits, _, _ := strings.Cut(val, " ")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0, fmt.Errorf("a counter holds %.40q: %w", val, err)
	}
	return n, nil
}
