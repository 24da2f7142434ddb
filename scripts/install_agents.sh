#!/usr/bin/env bash
# Installs the coding agents that judge the gateway, by exact version, into .cache/agents.
# Needs Node.js 20 or newer and npm. Does nothing when they are there already.
set -euo pipefail
cd "$(dirname "$0")/.."

agents=(@anthropic-ai/claude-code@2.1.330 @google/gemini-cli@0.61.0 @openai/codex@0.169.0)
older=(@anthropic-ai/claude-code@2.1.197)

installed() {
    local folder=$1 agent manifest
    shift
    for agent in "$@"; do
        manifest="$folder/node_modules/${agent%@*}/package.json"
        grep -qs "\"version\": *\"${agent##*@}\"" "$manifest" || return 1
    done
}

install() {
    if installed "$@"; then
        return
    fi
    local folder=$1
    shift
    mkdir -p "$folder"
    npm install --silent --no-audit --no-fund --save-exact --prefix "$folder" "$@"
    installed "$folder" "$@"
}

install .cache/agents "${agents[@]}"
install .cache/agents/older "${older[@]}"
