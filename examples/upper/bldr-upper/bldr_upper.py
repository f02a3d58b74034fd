"""The language "upper" for bldr: texts that are put together in capital letters."""

from bldr.engine.handlers import API, TEST, Action, Provided


class Upper:
    api = API

    def provides(self, target, needs):
        return Provided(target.target.label, target.language, products=target.outputs, runtime=target.outputs)

    def actions(self, target, needs):
        if target.target.type == TEST:
            return []
        (output,) = target.outputs
        texts = [*target.sources, *(path for need in needs for path in need.products)]
        argv = ("sh", "-c", 'cat "$@" | tr a-z A-Z > "$0"', output, *texts)
        return [Action(target.target.label, f"write {output}", argv, tuple(texts), (output,), mnemonic="Upper")]

    def tests(self, target, needs):
        if target.target.type != TEST:
            return []
        texts = [*target.sources, *(path for need in needs for path in need.products)]
        argv = ("sh", "-c", '! grep "[a-z]" "$@"', "sh", *texts)
        return [Action(target.target.label, "test", argv, tuple(texts), mnemonic="Test")]


HANDLER = Upper()
