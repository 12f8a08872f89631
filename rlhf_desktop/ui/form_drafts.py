"""Where forms keep what was typed and not saved: in the project, by person, over an end of the program at any moment."""

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.widgets.saved_state import KeptForm, Values


class FormDrafts:
    """Drafts of forms, by the form's name."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, name: str) -> Values | None:
        """What was left unsaved in a form."""
        return self._context.store.drafts.get(self._project, self._who, _key(name))

    def keep(self, name: str, values: Values | None) -> None:
        """Keep it, or forget it."""
        drafts = self._context.store.drafts
        try:
            if values is None:
                drafts.discard(self._project, self._who, _key(name))
            else:
                drafts.save(self._project, self._who, _key(name), values)
        except AppError as trouble:
            self._context.session.troubled.emit(trouble)

    def watch(self, name: str, form: KeptForm) -> None:
        """Keep this form's drafts."""
        form.draftChanged.connect(lambda values: self.keep(name, values))

    @property
    def _project(self) -> str:
        return self._context.session.project.id

    @property
    def _who(self) -> str:
        return who_am_i(self._context.store)


def _key(name: str) -> str:
    return f"form:{name}"
