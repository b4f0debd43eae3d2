{{/* agent.yaml: what the chart knows, and over it what agent.config says. */}}
{{- define "ingot.agent.config" -}}
{{- $a := .Values.agent -}}
{{- $ours := not $a.registry -}}
{{- $c := dict "registry" (default (include "ingot.address" .) $a.registry) "data" (printf "%s/node" $a.dataDir) "socket" (printf "%s/agent.sock" $a.socketDir) "socket-mode" $a.socketMode "disk" $a.disk "ram" $a.ram "log-format" "json" -}}
{{- if eq (include "ingot.agent.ca" .) "yes" -}}{{- $_ := set $c "ca-file" "/etc/ingot/ca/ca.crt" -}}{{- end -}}
{{- if $a.tokenSecret -}}
{{- $_ := set $c "registry-token-file" "/etc/ingot/token/token" -}}
{{- else if and $ours (eq .Values.registry.access "tokens") -}}
{{- $_ := set $c "registry-oidc-token-file" "/var/run/secrets/ingot/token" -}}
{{- end -}}
{{- if ne $a.gpu.visibility "none" -}}
{{- $_ := set $c "gpu" $a.gpu.budget -}}
{{- $_ := set $c "gpu-headroom" $a.gpu.headroom -}}
{{- end -}}
{{- if $a.listen.enabled -}}
{{- $_ := set $c "listen" (printf "0.0.0.0:%v" $a.listen.port) -}}
{{- $_ := set $c "token-file" "/etc/ingot/callers/token" -}}
{{- $_ := set $c "tls-cert" "/etc/ingot/tls/tls.crt" -}}
{{- $_ := set $c "tls-key" "/etc/ingot/tls/tls.key" -}}
{{- end -}}
{{- /* Of this chart's registry, where its values say that the network is encrypted. */ -}}
{{- if and $ours (eq .Values.registry.access "tokens") (eq .Values.registry.tls.mode "none") -}}{{- $_ := set $c "registry-insecure" true -}}{{- end -}}
{{- /* The word that an open port for metrics is meant. It turns off nothing. */ -}}
{{- if .Values.metrics.enabled -}}{{- $_ := set $c "insecure" true -}}{{- end -}}
{{- if .Values.metrics.enabled -}}{{- $_ := set $c "admin-listen" (printf "0.0.0.0:%v" .Values.metrics.port) -}}{{- end -}}
{{- toYaml (mergeOverwrite $c (deepCopy $a.config)) -}}
{{- end -}}

{{/* Whether the agent is told whom to trust about the registry. */}}
{{- define "ingot.agent.ca" -}}
{{- $a := .Values.agent -}}
{{- if $a.registry -}}
{{- if $a.caSecret -}}yes{{- end -}}
{{- else if and (ne .Values.registry.tls.mode "none") .Values.registry.tls.privateCA -}}yes
{{- end -}}
{{- end -}}
