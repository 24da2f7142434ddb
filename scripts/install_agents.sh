#!/usr/bin/env bash
# Installs the coding agents that judge the gateway, by exact version, into .cache/agents.
# Needs Node.js 18 or newer and npm. Does nothing when they are there already.
set -euo pipefail
cd "$(dirname "$0")/.."

agents=(@anthropic-ai/claude-code@2.1.330 @openai/codex@0.169.0)

installed() {
    local agent manifest
    for agent in "${agents[@]}"; do
        manifest=".cache/agents/node_modules/${agent%@*}/package.json"
        grep -qs "\"version\": *\"${agent##*@}\"" "$manifest" || return 1
    done
}

if installed; then
    exit 0
fi
mkdir -p .cache/agents
npm install --silent --no-audit --no-fund --save-exact --prefix .cache/agents "${agents[@]}"
installed
