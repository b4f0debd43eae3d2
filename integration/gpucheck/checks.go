package main

// The groups of checks.
const (
	groupDriver = "driver" // what the driver does by itself
	groupAgent  = "agent"  // what the agent does with it
	groupCrash  = "crash"
	groupPython = "python" // what Python makes of it, beside other loaders
)

// allChecks are the checks in the order in which they are made: those that need
// nothing but the driver first.
func allChecks() []check {
	return []check{
		{groupDriver, "attributes", attributes},
		{groupDriver, "copies", rawCopies},
		{groupDriver, "slabs", slabCosts},
		{groupDriver, "kernels", kernels},
		{groupDriver, "memory without a context", noContext},
		{groupDriver, "memory of a process that is gone", orphan},
		{groupDriver, "memory to read only", readOnly},

		{groupAgent, "models", prepare},
		{groupAgent, "start", startAgent},
		{groupAgent, "first load", firstLoad},
		{groupAgent, "pinned memory", pinning},
		{groupAgent, "load", pinnedLoad},
		{groupAgent, "swap of everything", fullSwap},
		{groupAgent, "swap in place", smallSwap},
		{groupAgent, "swap to a version on the GPU", residentSwap},
		{groupAgent, "two clients", twoClients},
		{groupAgent, "variants", variantBytes},
		{groupPython, "modules", pythonReady},
		{groupPython, "attach", pythonAttach},
		{groupPython, "other loaders", loaders},
		{groupPython, "load while another process computes", busyLoad},
		{groupCrash, "mover", moverCrash},
	}
}
