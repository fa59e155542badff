{{/* What selects the pods of this release. */}}
{{- define "cloakroom.selector" -}}
app.kubernetes.io/name: cloakroom
app.kubernetes.io/component: reconciler
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
