{{/* What selects the pods of this release. */}}
{{- define "cloakroom.selector" -}}
app.kubernetes.io/name: cloakroom
app.kubernetes.io/component: reconciler
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Where the Secret is mounted. */}}
{{- define "cloakroom.secrets" -}}
/run/secrets/cloakroom
{{- end }}

{{/* The file that the keys are read from; nothing where they are in a variable. */}}
{{- define "cloakroom.keyFile" -}}
{{- $file := (.Values.configuration.keys | default dict).file | default "" }}
{{- if and $file (ne (dir $file) (include "cloakroom.secrets" .)) }}
{{- fail (printf "configuration.keys.file has to be in %s, where the Secret is mounted" (include "cloakroom.secrets" .)) }}
{{- end }}
{{- $file }}
{{- end }}

{{/* The configuration. A key file takes the place of the variable, which is the usual value. */}}
{{- define "cloakroom.configuration" -}}
{{- $configuration := deepCopy .Values.configuration }}
{{- if include "cloakroom.keyFile" . }}
{{- $_ := unset $configuration.keys "env" }}
{{- end }}
{{- toYaml $configuration }}
{{- end }}
