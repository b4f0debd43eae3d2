{{/*
Bytes in MiB of a size as ingot writes it: of (dict "name" "agent.ram" "size" "16GiB").
*/}}
{{- define "ingot.mib" -}}
{{- $size := toString .size -}}
{{- if not (regexMatch "^[1-9][0-9]*(MiB|GiB|TiB)$" $size) -}}
{{- fail (printf "%s is %q: want a whole number of MiB, GiB or TiB, such as 16GiB" .name $size) -}}
{{- end -}}
{{- $number := regexFind "^[0-9]+" $size | atoi -}}
{{- $unit := get (dict "MiB" 1 "GiB" 1024 "TiB" 1048576) (regexFind "[A-Z]iB$" $size) -}}
{{- mul $number $unit -}}
{{- end -}}

{{/*
Least memory of the agent's pod, in MiB. What lies in the RAM tier is shared memory that
counts for the pod, whoever maps it; the overhead is what the agent needs beside it; a
mover for GPUs has a context with memory of its own.
*/}}
{{- define "ingot.agent.least" -}}
{{- $a := .Values.agent -}}
{{- $ram := 0 -}}
{{- if ne (toString $a.ram) "none" -}}
{{- $ram = include "ingot.mib" (dict "name" "agent.ram" "size" $a.ram) | int -}}
{{- end -}}
{{- $least := add $ram (include "ingot.mib" (dict "name" "agent.overhead" "size" $a.overhead)) -}}
{{- if ne $a.gpu.visibility "none" -}}
{{- $least = add $least (include "ingot.mib" (dict "name" "agent.gpuOverhead" "size" $a.gpuOverhead)) -}}
{{- end -}}
{{- $least -}}
{{- end -}}

{{/* The memory limit of the agent's pod, in MiB. */}}
{{- define "ingot.agent.memory" -}}
{{- $least := include "ingot.agent.least" . | int -}}
{{- if .Values.agent.memory -}}
{{- $memory := include "ingot.mib" (dict "name" "agent.memory" "size" .Values.agent.memory) | int -}}
{{- if lt $memory $least -}}
{{- fail (printf "agent.memory is %s, and ram and its overhead need %dMiB: raise it, lower agent.ram, or leave agent.memory out" .Values.agent.memory $least) -}}
{{- end -}}
{{- $memory -}}
{{- else -}}
{{- $least -}}
{{- end -}}
{{- end -}}

{{/* The memory limit of the registry, in MiB: what uploads may take, and 1 GiB. */}}
{{- define "ingot.registry.memory" -}}
{{- add 1024 (include "ingot.mib" (dict "name" "registry.memory" "size" .Values.registry.memory)) -}}
{{- end -}}
