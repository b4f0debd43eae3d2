{{- define "ingot.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "ingot.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "ingot.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "ingot.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ingot.registry" -}}{{ include "ingot.fullname" . }}-registry{{- end -}}
{{- define "ingot.agent" -}}{{ include "ingot.fullname" . }}-agent{{- end -}}

{{/* The labels by which things are selected: of (dict "root" $ "part" "registry"). */}}
{{- define "ingot.selector" -}}
app.kubernetes.io/name: {{ include "ingot.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "ingot.labels" -}}
{{ include "ingot.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image: of (dict "root" $ "image" .Values.registry.image). */}}
{{- define "ingot.image" -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}

{{/* The address of this chart's registry within the cluster. */}}
{{- define "ingot.address" -}}
{{- $scheme := ternary "http" "https" (eq .Values.registry.tls.mode "none") -}}
{{- printf "%s://%s.%s.svc:%v" $scheme (include "ingot.registry" .) .Release.Namespace .Values.registry.service.port -}}
{{- end -}}
