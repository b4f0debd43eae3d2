package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/openapi"
)

// aDevice offers the GPUs of the agent.
func (p *program) aDevice(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return p.offerOfAgent(cmd, word, func(s openapi.NodeStatus) (found []cobra.Completion) {
		for _, d := range s.Tiers.GPU.Devices {
			found = append(found, cobra.CompletionWithDesc(d.UUID, d.Name+", "+size(d.Budget-d.Used)+" of "+size(d.Budget)+" left"))
		}
		return found
	})
}

// aRefOnGPU offers what is on the GPUs of the agent.
func (p *program) aRefOnGPU(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return p.offerOfAgent(cmd, word, func(s openapi.NodeStatus) (found []cobra.Completion) {
		for _, m := range s.Models {
			if len(m.Devices) > 0 {
				found = append(found, cobra.CompletionWithDesc(m.Ref, "on "+strings.Join(m.Devices, " and ")))
			}
		}
		return found
	})
}

// offerOfAgent is offer for what the agent knows.
func (p *program) offerOfAgent(cmd *cobra.Command, word string, find func(openapi.NodeStatus) []cobra.Completion) ([]cobra.Completion, cobra.ShellCompDirective) {
	address, err := cmd.Flags().GetString("socket")
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	a, err := p.dialAgent(address)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	s, err := a.Status(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found := slices.DeleteFunc(find(s), func(c string) bool { return !strings.HasPrefix(c, word) })
	return found[:min(len(found), maxOffered)], cobra.ShellCompDirectiveNoFileComp
}
