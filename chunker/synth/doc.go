// Package synth owns synthetic models: llama-like weights that cut and compress
// as real ones do, of any size, with the variants that people make of models and
// the checkpoints of their training.
//
// Laws:
//   - The files are a function of the Spec and the changes alone, on every
//     machine and with any parallelism.
//   - A change touches the tensors it names; all others keep their bytes.
package synth
