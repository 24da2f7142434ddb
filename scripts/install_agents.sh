#!/usr/bin/env bash
# Installs the coding agents that judge the gateway, by exact version, into .cache/agents.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .cache/agents
npm install --silent --no-audit --no-fund --prefix .cache/agents @anthropic-ai/claude-code@2.1.330
