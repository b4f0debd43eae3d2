package cuda

import "fmt"

// Module is code that has been loaded into a context.
type Module uintptr

// Function is a kernel of a module.
type Function uintptr

// Load loads a module from the text of its PTX, which the driver compiles.
func (b *Bound) Load(ptx []byte) (Module, error) {
	if err := b.ready(cuModuleLoadData); err != nil {
		return 0, err
	}
	return b.driver.moduleLoad(terminated(ptx))
}

// Unload gives a module back.
func (b *Bound) Unload(m Module) error { return b.call(cuModuleUnload, uintptr(m)) }

// Function returns the kernel of that name.
func (b *Bound) Function(m Module, name string) (Function, error) {
	if err := b.ready(cuModuleGetFunction); err != nil {
		return 0, err
	}
	f, err := b.driver.moduleFunction(m, terminated([]byte(name)))
	if err != nil {
		return 0, fmt.Errorf("kernel %s: %w", name, err)
	}
	return f, nil
}

// Launch starts a kernel with grid blocks of so many threads, when what s was given
// before is done. The arguments are each a Ptr, a uint64 or a uint32, as the kernel
// declares them.
func (b *Bound) Launch(f Function, grid, block uint32, s Stream, args ...any) error {
	if err := b.ready(cuLaunchKernel); err != nil {
		return err
	}
	values, err := parameters(args)
	if err != nil {
		return err
	}
	return b.driver.launch(f, grid, block, s, values)
}

// parameters returns what to hand over for the arguments of a kernel.
func parameters(args []any) ([]uint64, error) {
	if len(args) > mostParams {
		return nil, fmt.Errorf("a kernel with %d arguments: the most is %d", len(args), mostParams)
	}
	values := make([]uint64, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case Ptr:
			values[i] = uint64(v)
		case uint64:
			values[i] = v
		case uint32:
			values[i] = uint64(v)
		default:
			return nil, fmt.Errorf("argument %d of a kernel is a %T: it must be a Ptr, a uint64 or a uint32", i, arg)
		}
	}
	return values, nil
}

// terminated returns a copy of text that ends as C wants it.
func terminated(text []byte) []byte { return append(text[:len(text):len(text)], 0) }
