"""The vendors and engines the product knows: rows of facts, each following its vendor's page.

A base URL may be given with or without what its paths begin with (`/v1`, `/openai/v1`): joining
leaves nothing twice. `drops` and `renames` hold only what a vendor's page, or an error it is
known to answer, says; a field a vendor ignores travels on.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from meterway.protocols.dialects import Dialect
from meterway.upstreams.types import AuthForm, Provider

_CHAT = Dialect.OPENAI_CHAT
_MESSAGES = Dialect.ANTHROPIC_MESSAGES
# A row's first dialect is what other dialects are translated to, so this one stands last.
_RESPONSES = Dialect.OPENAI_RESPONSES
_GEMINI = Dialect.GEMINI

# Engines and vendors that read the older name alone would leave the answer's length unbounded.
_OLD_MAX_TOKENS = {"max_completion_tokens": "max_tokens"}

_GEMINI_FACE = "/v1beta/models/{model}:generateContent"
_GEMINI_STREAMS = {_GEMINI: "/v1beta/models/{model}:streamGenerateContent?alt=sse"}
_GEMINI_COUNTS = {_GEMINI: "/v1beta/models/{model}:countTokens"}
_GEMINI_LIST = "/v1beta/models?pageSize=1000"

_VENDORS = (
    Provider(
        name="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        speaks={_CHAT: "/chat/completions", _RESPONSES: "/responses"},
        key_env="OPENAI_API_KEY",
        hosts=frozenset({"openai"}),
        source="https://platform.openai.com/docs/api-reference/chat/create",
    ),
    Provider(
        name="azure-openai",
        title="Azure OpenAI",
        speaks={_CHAT: "/openai/v1/chat/completions", _RESPONSES: "/openai/v1/responses"},
        auth=AuthForm.API_KEY,
        key_env="AZURE_OPENAI_API_KEY",
        url_env="AZURE_OPENAI_ENDPOINT",
        models_path="/openai/v1/models",
        source="https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
    ),
    Provider(
        name="anthropic",
        title="Anthropic",
        base_url="https://api.anthropic.com",
        speaks={_MESSAGES: "/v1/messages"},
        counts={_MESSAGES: "/v1/messages/count_tokens"},
        auth=AuthForm.X_API_KEY,
        key_env="ANTHROPIC_API_KEY",
        models_path="/v1/models",
        hosts=frozenset({"anthropic"}),
        source="https://platform.claude.com/docs/en/api/messages",
    ),
    Provider(
        name="gemini",
        title="Google Gemini",
        base_url="https://generativelanguage.googleapis.com",
        # OpenAI's clients pass through Google's own compatible face, which knows more of their
        # fields than a translation; all others reach the native one.
        speaks={_GEMINI: _GEMINI_FACE, _CHAT: "/v1beta/openai/chat/completions"},
        streams=_GEMINI_STREAMS,
        counts=_GEMINI_COUNTS,
        auths={_GEMINI: AuthForm.X_GOOG_API_KEY},
        key_env="GEMINI_API_KEY",
        models_path=_GEMINI_LIST,
        # Answered by the compatible face with 400 `Unknown name "…": Cannot find field`, see
        # https://github.com/Vali-98/ChatterUI/issues/227, github.com/IBM/AI-SDK-Db2-IBMi/pull/32
        drops=frozenset(
            {
                "frequency_penalty",
                "logit_bias",
                "logprobs",
                "presence_penalty",
                "seed",
                "store",
                "top_logprobs",
            }
        ),
        hosts=frozenset({"google"}),
        source="https://ai.google.dev/api/generate-content",
    ),
    Provider(
        name="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api",
        speaks={
            _CHAT: "/v1/chat/completions",
            _MESSAGES: "/v1/messages",
            _RESPONSES: "/v1/responses",
        },
        key_env="OPENROUTER_API_KEY",
        models_path="/v1/models",
        source="https://openrouter.ai/docs/api/api-reference/anthropic-messages/create-a-message",
    ),
    Provider(
        name="deepseek",
        title="DeepSeek",
        base_url="https://api.deepseek.com",
        speaks={_CHAT: "/chat/completions", _MESSAGES: "/anthropic/v1/messages"},
        key_env="DEEPSEEK_API_KEY",
        renames=_OLD_MAX_TOKENS,
        hosts=frozenset({"deepseek"}),
        source="https://api-docs.deepseek.com/guides/anthropic_api",
    ),
    Provider(
        name="mistral",
        title="Mistral AI",
        base_url="https://api.mistral.ai/v1",
        speaks={_CHAT: "/chat/completions"},
        key_env="MISTRAL_API_KEY",
        # Unknown fields are a 422 `extra_forbidden`; usage always comes with the last chunk.
        drops=frozenset(
            {
                "logit_bias",
                "logprobs",
                "prompt_cache_key",
                "safety_identifier",
                "service_tier",
                "store",
                "stream_options",
                "top_logprobs",
                "user",
                "verbosity",
            }
        ),
        renames={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
        hosts=frozenset({"mistral"}),
        source="https://docs.mistral.ai/api/endpoint/chat",
    ),
    Provider(
        name="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        speaks={_CHAT: "/chat/completions"},
        key_env="GROQ_API_KEY",
        drops=frozenset({"logit_bias", "logprobs", "top_logprobs"}),
        source="https://console.groq.com/docs/openai",
    ),
    Provider(
        name="together",
        title="Together AI",
        base_url="https://api.together.ai/v1",
        speaks={_CHAT: "/chat/completions"},
        key_env="TOGETHER_API_KEY",
        renames=_OLD_MAX_TOKENS,
        source="https://docs.together.ai/docs/inference/openai-compatibility",
    ),
    Provider(
        name="fireworks",
        title="Fireworks AI",
        base_url="https://api.fireworks.ai/inference",
        speaks={_CHAT: "/v1/chat/completions", _MESSAGES: "/v1/messages"},
        key_env="FIREWORKS_API_KEY",
        models_path="/v1/models",
        source="https://docs.fireworks.ai/tools-sdks/anthropic-compatibility",
    ),
    Provider(
        name="xai",
        title="xAI",
        base_url="https://api.x.ai/v1",
        speaks={_CHAT: "/chat/completions", _RESPONSES: "/responses"},
        key_env="XAI_API_KEY",
        hosts=frozenset({"xai"}),
        source="https://docs.x.ai/developers/rest-api-reference/inference",
    ),
    Provider(
        name="qwen",
        title="Alibaba Cloud Model Studio (Qwen)",
        base_url="https://dashscope-intl.aliyuncs.com",
        speaks={
            _CHAT: "/compatible-mode/v1/chat/completions",
            _MESSAGES: "/apps/anthropic/v1/messages",
        },
        key_env="DASHSCOPE_API_KEY",
        models_path="/compatible-mode/v1/models",
        renames=_OLD_MAX_TOKENS,
        hosts=frozenset({"qwen"}),
        source="https://www.alibabacloud.com/help/doc-detail/2980295.html",
    ),
    Provider(
        name="moonshot",
        title="Moonshot AI (Kimi)",
        base_url="https://api.moonshot.ai",
        speaks={_CHAT: "/v1/chat/completions", _MESSAGES: "/anthropic/v1/messages"},
        key_env="MOONSHOT_API_KEY",
        models_path="/v1/models",
        renames=_OLD_MAX_TOKENS,
        hosts=frozenset({"moonshot"}),
        source="https://platform.moonshot.ai/docs/api/chat",
    ),
    Provider(
        name="zhipu",
        title="Zhipu AI (GLM, China)",
        base_url="https://open.bigmodel.cn/api",
        speaks={_CHAT: "/paas/v4/chat/completions", _MESSAGES: "/anthropic/v1/messages"},
        key_env="ZHIPUAI_API_KEY",
        models_path="/paas/v4/models",
        renames=_OLD_MAX_TOKENS,
        hosts=frozenset({"zhipu"}),
        source="https://docs.bigmodel.cn/cn/guide/develop/openai/introduction",
    ),
    Provider(
        name="zai",
        title="Z.ai (GLM, international)",
        base_url="https://api.z.ai/api",
        speaks={_CHAT: "/paas/v4/chat/completions", _MESSAGES: "/anthropic/v1/messages"},
        key_env="ZAI_API_KEY",
        models_path="/paas/v4/models",
        renames=_OLD_MAX_TOKENS,
        hosts=frozenset({"zhipu"}),
        source="https://docs.z.ai/devpack/tool/claude",
    ),
    Provider(
        name="siliconflow",
        title="SiliconFlow",
        base_url="https://api.siliconflow.cn",
        speaks={_CHAT: "/v1/chat/completions", _MESSAGES: "/v1/messages"},
        key_env="SILICONFLOW_API_KEY",
        models_path="/v1/models",
        renames=_OLD_MAX_TOKENS,
        source="https://docs.siliconflow.cn/cn/api-reference/chat-completions/messages",
    ),
    Provider(
        name="minimax",
        title="MiniMax",
        base_url="https://api.minimax.io",
        speaks={_CHAT: "/v1/chat/completions", _MESSAGES: "/anthropic/v1/messages"},
        key_env="MINIMAX_API_KEY",
        models_path="/v1/models",
        hosts=frozenset({"minimax"}),
        source="https://platform.minimax.io/docs/api-reference/text-chat-anthropic",
    ),
    Provider(
        name="perplexity",
        title="Perplexity",
        base_url="https://api.perplexity.ai",
        speaks={_CHAT: "/chat/completions"},
        key_env="PERPLEXITY_API_KEY",
        models_path=None,
        renames=_OLD_MAX_TOKENS,
        hosts=frozenset({"perplexity"}),
        source="https://docs.perplexity.ai/guides/chat-completions-guide",
    ),
    Provider(
        name="cerebras",
        title="Cerebras",
        base_url="https://api.cerebras.ai/v1",
        speaks={_CHAT: "/chat/completions"},
        key_env="CEREBRAS_API_KEY",
        drops=frozenset({"frequency_penalty", "logit_bias", "presence_penalty", "service_tier"}),
        source="https://inference-docs.cerebras.ai/resources/openai",
    ),
)

_BOTH_FACES = {_CHAT: "/v1/chat/completions", _MESSAGES: "/v1/messages"}

_ENGINES = (
    Provider(
        name="ollama",
        title="Ollama",
        base_url="http://127.0.0.1:11434",
        speaks=_BOTH_FACES,
        url_env="OLLAMA_HOST",
        local=True,
        models_path="/v1/models",
        renames=_OLD_MAX_TOKENS,
        fetches_urls=False,
        source="https://docs.ollama.com/api/anthropic-compatibility",
    ),
    Provider(
        name="vllm",
        title="vLLM",
        base_url="http://127.0.0.1:8000",
        speaks=_BOTH_FACES,
        url_env="VLLM_BASE_URL",
        local=True,
        models_path="/v1/models",
        source="https://docs.vllm.ai/en/stable/serving/integrations/claude_code/",
    ),
    Provider(
        name="llama.cpp",
        title="llama.cpp",
        base_url="http://127.0.0.1:8080",
        speaks=_BOTH_FACES,
        counts={_MESSAGES: "/v1/messages/count_tokens"},
        url_env="LLAMACPP_BASE_URL",
        local=True,
        models_path="/v1/models",
        source="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
    ),
    Provider(
        name="lmstudio",
        title="LM Studio",
        base_url="http://127.0.0.1:1234",
        speaks=_BOTH_FACES,
        url_env="LMSTUDIO_BASE_URL",
        local=True,
        models_path="/v1/models",
        renames=_OLD_MAX_TOKENS,
        # "'url' field must be a base64 encoded image", see
        # https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/1120
        fetches_urls=False,
        source="https://lmstudio.ai/docs/developer/anthropic-compat",
    ),
)

SANDBOX = Provider(
    name="sandbox",
    title="Sandbox",
    base_url="http://sandbox",
    speaks=_BOTH_FACES,
    counts={_MESSAGES: "/v1/messages/count_tokens"},
    auth=AuthForm.NONE,
    local=True,
    models_path="/v1/models",
    source="meterway.upstreams.sandbox",
    transport="sandbox",
    rests=False,
)

_GENERIC = (
    Provider(
        name="openai-compatible",
        title="Any OpenAI-compatible server",
        speaks={_CHAT: "/chat/completions"},
        source="https://platform.openai.com/docs/api-reference/chat/create",
    ),
    Provider(
        name="anthropic-compatible",
        title="Any Anthropic-compatible server",
        speaks={_MESSAGES: "/v1/messages"},
        auth=AuthForm.X_API_KEY,
        models_path="/v1/models",
        source="https://platform.claude.com/docs/en/api/messages",
    ),
    Provider(
        name="gemini-compatible",
        title="Any Gemini-compatible server",
        speaks={_GEMINI: _GEMINI_FACE},
        streams=_GEMINI_STREAMS,
        auth=AuthForm.X_GOOG_API_KEY,
        models_path=_GEMINI_LIST,
        source="https://ai.google.dev/api/generate-content",
    ),
    SANDBOX,
)

PROVIDERS: Mapping[str, Provider] = {row.name: row for row in (*_VENDORS, *_ENGINES, *_GENERIC)}


def engine_url(provider: Provider, address: str) -> str:
    """Return the base URL an engine's environment variable means.

    `OLLAMA_HOST` is what the engine listens on, so it may lack scheme or port, or be the
    wildcard address (https://docs.ollama.com/faq); the row's own URL fills the gaps.
    """
    assert provider.base_url is not None, "only rows with a default address are completed"
    default = urlsplit(provider.base_url)
    given = urlsplit(address if "://" in address else f"http://{address}")
    host = given.hostname or "127.0.0.1"
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound: the wildcard is no address to call
        host = "127.0.0.1"
    if ":" in host:
        host = f"[{host}]"
    port = given.port or (default.port if "://" not in address else None)
    return f"{given.scheme}://{host}{f':{port}' if port else ''}{given.path.rstrip('/')}"
