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

{{/* The port that it listens on, which probes and Prometheus have to reach from outside the pod. */}}
{{- define "cloakroom.port" -}}
{{- $listen := (.Values.configuration.http | default dict).listen | default "127.0.0.1:9464" }}
{{- if not (regexMatch "^(0\\.0\\.0\\.0|\\[::\\]):[1-9][0-9]*$" $listen) }}
{{- fail (printf "configuration.http.listen is %s; in a pod it has to be 0.0.0.0:PORT or [::]:PORT, or neither probes nor Prometheus reach it" $listen) }}
{{- end }}
{{- regexFind "[0-9]+$" $listen }}
{{- end }}

{{/* How long Kubernetes waits before it kills: shutdown.deadline and ten seconds. */}}
{{- define "cloakroom.grace" -}}
{{- $deadline := (.Values.configuration.shutdown | default dict).deadline | default "20s" }}
{{- $units := dict "s" 1 "sec" 1 "secs" 1 "second" 1 "seconds" 1 "m" 60 "min" 60 "mins" 60 "minute" 60 "minutes" 60 "h" 3600 "hr" 3600 "hrs" 3600 "hour" 3600 "hours" 3600 }}
{{- if not (regexMatch "^( *[0-9]+ *(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?))+ *$" $deadline) }}
{{- fail (printf "configuration.shutdown.deadline is %s; the chart reads hours, minutes and seconds, such as 90s or 1m 30s" $deadline) }}
{{- end }}
{{- $grace := 10 }}
{{- range regexFindAll "[0-9]+ *[a-z]+" $deadline -1 }}
{{- $grace = add $grace (mul (regexFind "[0-9]+" . | int) (get $units (regexFind "[a-z]+" .))) }}
{{- end }}
{{- $grace }}
{{- end }}

{{/* Refuses a configuration that reads what the Secret is not mounted with. */}}
{{- define "cloakroom.filesAreMounted" -}}
{{- $files := .Values.secret.files }}
{{- if include "cloakroom.keyFile" . }}
{{- $files = append $files (base (include "cloakroom.keyFile" .)) }}
{{- end }}
{{- $within := printf "%s/" (include "cloakroom.secrets" .) }}
{{- range regexFindAll (printf "\"%s[^\"]+\"" $within) (toJson .Values.configuration) -1 }}
{{- $file := trimPrefix $within (trimAll "\"" .) }}
{{- if not (has $file $files) }}
{{- fail (printf "the configuration reads %s%s, which secret.files does not list" $within $file) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses a store that several replicas on a read-only file system cannot share. */}}
{{- define "cloakroom.storeIsShared" -}}
{{- $store := .Values.configuration.store | default dict }}
{{- if or $store.sqlite (not $store.postgres) }}
{{- fail "configuration.store has to be postgres and nothing else: the chart has no volume for a file, and one SQLite file serves one process" }}
{{- end }}
{{- end }}

{{/* The configuration. A key file takes the place of the variable, which is the usual value. */}}
{{- define "cloakroom.configuration" -}}
{{- include "cloakroom.storeIsShared" . }}
{{- $configuration := deepCopy .Values.configuration }}
{{- if include "cloakroom.keyFile" . }}
{{- $_ := unset $configuration.keys "env" }}
{{- end }}
{{- toYaml $configuration }}
{{- end }}
