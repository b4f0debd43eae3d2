package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// stateMost bounds what State reads, in bytes.
const stateMost = 256 << 20

// SaveState keeps v under a name of lower-case letters, digits, '-' and '.',
// instead of what was there. It is whole on the disk when it returns, or what was
// there is.
func (s *Store) SaveState(name string, v []byte) error {
	if err := checkState(name); err != nil {
		return fmt.Errorf("save %w", err)
	}
	s.docs.write.Lock()
	defer s.docs.write.Unlock()
	before := s.docs.size(stateName + "/" + name)
	s.docs.note(stateName+"/"+name, int64(len(v)))
	if err := s.docs.put(stateName+"/"+name, v, before); err != nil {
		return fmt.Errorf("save state %s: %w", name, err)
	}
	return nil
}

// State returns what SaveState was last given under the name, nil if nothing.
func (s *Store) State(name string) ([]byte, error) {
	if err := checkState(name); err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	v, err := readFile(s.docs.path(stateName+"/"+name), stateMost)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w", name, err)
	}
	return v, nil
}

// checkState refuses a name that is no file of ours.
func checkState(name string) error {
	odd := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' }
	if name == "" || name[0] == '.' || strings.HasSuffix(name, newSuffix) || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("state %.80q: want lower-case letters, digits, '-' and '.'", name)
	}
	return nil
}
