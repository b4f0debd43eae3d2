package main

import (
	"fmt"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
)

// gpuLine says why the agent has nothing on GPUs, or nothing.
func gpuLine(g openapi.GPUUsage) string {
	line := map[string]string{
		openapi.GPUOff:       "no GPU: the agent was not told to use one, by --gpu",
		openapi.GPUNoLibrary: "no GPU: the driver's library, libcuda, is not on the machine",
		openapi.GPUNoDriver:  "no GPU: its driver does not work",
		openapi.GPUNoDevice:  "no GPU: the driver shows none that the agent was told to use",
	}[g.State]
	if line != "" && g.Message != "" {
		line += ": " + oneLine(g.Message)
	}
	return line
}

// deviceTable lists GPUs.
func deviceTable(devices []openapi.GPUDevice) table {
	t := table{titles: []string{"GPU", "NAME", ">USED", ">BUDGET", ">", ">FREE", ">MODELS", "STATE", "LINK", ""}}
	for _, d := range devices {
		t.add(shown(d.UUID), shown(d.Name), size(d.Used), size(d.Budget), percent(d.Used, d.Budget), size(d.Free), digits(d.Models),
			shown(d.State), linkOf(d), notesOfDevice(d))
	}
	return t
}

// linkOf spells a GPU's link.
func linkOf(d openapi.GPUDevice) string {
	if d.PCIeGeneration == 0 {
		return "-"
	}
	return fmt.Sprintf("PCIe %d x%d", d.PCIeGeneration, d.PCIeWidth)
}

// notesOfDevice says what is particular about a GPU.
func notesOfDevice(d openapi.GPUDevice) string {
	var notes []string
	if d.Waiting > 0 {
		notes = append(notes, digits(d.Waiting)+" waiting")
	}
	if d.Pinned > 0 {
		notes = append(notes, size(d.Pinned)+" of memory pinned")
	}
	if d.Processes > 0 {
		notes = append(notes, count(d.Processes, "client"))
	}
	if d.MIG {
		notes = append(notes, "MIG")
	}
	if d.Restarts > 0 {
		notes = append(notes, "driven anew "+count(d.Restarts, "time"))
	}
	if d.Message != "" {
		notes = append(notes, oneLine(d.Message))
	}
	return strings.Join(notes, ", ")
}
