package registers_test

import (
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/registers/registerstest"
)

func TestMemory(t *testing.T) {
	registerstest.RunEngine(t, func(*testing.T) registers.Engine { return registers.NewMemory() })
}
