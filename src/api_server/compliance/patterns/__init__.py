"""The pattern language of rubrics: what a rule's words mean as a regular expression.

Knows no rubric and no rule: the rubric checks its patterns here, the rule tier searches with them.
"""
